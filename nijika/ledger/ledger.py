"""Holds and settlements that happen exactly once, whoever stops waiting for them."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

from nijika import credits, traces
from nijika.database import Pool
from nijika.errors import (
    IdempotencyKeyDone,
    IdempotencyKeyInFlight,
    IdempotencyKeyReused,
    InsufficientCredits,
    KeySpendCap,
    LedgerUnavailable,
    Problem,
)
from nijika.ledger.batch import STATEMENT_SECONDS
from nijika.ledger.charge import Charge
from nijika.ledger.coordinator import Coordinator
from nijika.ledger.orders import Delivery, Hold, Outcome, Settlement

GIVE_BACK_SECONDS = 300.0
GIVE_BACK_TRIES = 6

log = logging.getLogger("nijika.ledger")


def _nothing() -> None: ...


class Ledger:
    """The ledger on `pool`. `owner` is the lease that it works under; `fenced` is called when that is lost."""

    def __init__(self, pool: Pool, owner: UUID, *, fenced: Callable[[], None] = _nothing) -> None:
        self._coordinator = Coordinator(pool, owner, abandoned=self._abandoned, fenced=fenced)
        self._background: set[asyncio.Task[None]] = set()

    async def hold(self, hold: Hold) -> Charge:
        """Set the amount aside; committed when this returns. A hold whose caller is cancelled is given back.

        InsufficientCredits if the account has less, KeySpendCap if the key may not spend it; IdempotencyKeyInFlight,
        -Reused or -Done if that call was made already; LedgerBusy or LedgerUnavailable if the database does not
        keep up or answer, and then nothing may be forwarded.
        """
        answer = self._coordinator.put(hold)
        try:
            with traces.step("hold", micro_credits=hold.amount):
                outcome = await answer
        except asyncio.CancelledError:
            if not answer.cancelled() and answer.exception() is None and answer.result().verdict == "held":
                # It was made in the very moment in which its caller left.
                self._abandoned(hold)
            raise
        if outcome.verdict != "held":
            raise _refusal(hold, outcome)
        if hold.fingerprint is not None and outcome.notes is not None:
            hold.fingerprint.expected = _digest(outcome.notes)
        return Charge(self, hold, held=outcome.held, available=outcome.available or 0)

    async def settle(self, settlement: Settlement) -> int | None:
        """Capture or refund; committed when this returns, and done also if the waiter is cancelled.

        Returns what the account has available then, or None if the charge had been settled the other way.
        LedgerUnavailable if the database does not answer.
        """
        with traces.step("settle", micro_credits=settlement.captured or 0, reason=settlement.reason or "captured"):
            outcome = await self._coordinator.put(settlement)
        return outcome.available if outcome.verdict == "settled" else None

    def give_back(self, settlement: Settlement) -> None:
        """Refund a charge of unknown outcome while nobody waits for it, unless it turns out to be settled."""
        self._start(settlement)

    def delivered(self, delivery: Delivery) -> None:
        """Note that the caller has the whole answer, or will never have it."""
        self._coordinator.put(delivery, GIVE_BACK_SECONDS).add_done_callback(_ignore)

    @property
    def waiting(self) -> int:
        """How many orders wait for the next batch."""
        return self._coordinator.waiting

    @property
    def open(self) -> int:
        """How many charges of this process are held and not settled."""
        return self._coordinator.open

    async def close(self) -> None:
        """Return when all orders are done, or given up because the database does not answer."""
        await self._coordinator.close()
        for task in self._background:
            task.cancel()
        if self._background:
            await asyncio.wait(self._background)

    def _abandoned(self, order: Hold | Settlement) -> None:
        held = order.amount if isinstance(order, Hold) else order.held
        refund = Settlement(order.id, order.account, None, reason="unanswered", route=order.route, held=held)
        self._start(refund)

    def _start(self, settlement: Settlement) -> None:
        task = asyncio.create_task(self._refund_at_last(settlement))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _refund_at_last(self, settlement: Settlement) -> None:
        try:
            for _ in range(GIVE_BACK_TRIES):
                outcome = await self._coordinator.put(settlement, GIVE_BACK_SECONDS)
                if outcome.verdict != "unknown":
                    return
                # The hold may still be under way on a connection that was given up.
                await asyncio.sleep(STATEMENT_SECONDS)
        except LedgerUnavailable:
            log.error("charge %s could not be given back (%s); the sweeper will", settlement.id, settlement.reason)


def _refusal(hold: Hold, outcome: Outcome) -> Problem:
    notes = outcome.notes or {}
    match outcome.verdict:
        case "short":
            return InsufficientCredits(price=credits.show(hold.amount), balance=credits.show(outcome.available or 0))
        case "capped":
            return KeySpendCap(
                price=credits.show(hold.amount),
                period=notes["period"],
                cap=credits.show(notes["cap"]),
                used=credits.show(notes["used"]),
            )
        case "in-flight":
            return IdempotencyKeyInFlight()
        case "other-route":
            return IdempotencyKeyReused()
        case "done":
            return IdempotencyKeyDone(notes["paid"], digest=_digest(notes))
    # The account is gone, or this very hold was given up and refunded: nothing may be forwarded.
    return LedgerUnavailable()


def _digest(notes: dict[str, Any]) -> bytes | None:
    return bytes.fromhex(notes["digest"]) if notes["digest"] else None


def _ignore(outcome: "asyncio.Future[Outcome]") -> None:
    if not outcome.cancelled():
        outcome.exception()
