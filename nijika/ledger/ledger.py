"""Holds and settlements in PostgreSQL, one statement each; sent again under the same id until the outcome is known."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from nijika import credits
from nijika.database import OUTAGE, Pool, fetchval
from nijika.errors import InsufficientCredits, LedgerUnavailable
from nijika.ledger.charge import Charge

RETRY_SECONDS = 10.0
GIVE_BACK_TRIES = 30  # of RETRY_SECONDS each
LOG_SECONDS = 5.0

T = TypeVar("T")
log = logging.getLogger("nijika.ledger")


@dataclass(frozen=True)
class Hold:
    """What to hold: `amount` micro-credits of `account`, for at most `seconds`; `id` is the request's."""

    id: UUID
    account: int
    key: int
    route: str
    amount: int
    seconds: float


class Ledger:
    """The ledger on `pool`; `owner` is this process. Every statement runs to its end, whoever stops waiting for it."""

    def __init__(self, pool: Pool, owner: UUID) -> None:
        self._pool = pool
        self._owner = owner
        self._quiet_until = 0.0
        self._running: set[asyncio.Task[Any]] = set()

    async def hold(self, hold: Hold) -> Charge:
        """Set the amount aside; committed when this returns.

        InsufficientCredits if the account has less; LedgerUnavailable if the database does not answer, and then
        nothing may be forwarded. A hold whose caller is cancelled meanwhile is refunded.
        """
        task = self._start(self._insist(lambda: self._hold(hold)))
        try:
            available = await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(lambda _: self.give_back(hold.id, "gateway-stopped"))
            raise
        except LedgerUnavailable:
            # It may have been committed all the same.
            self.give_back(hold.id, "hold-unanswered")
            raise
        return Charge(self, hold.id, hold.amount, available)

    async def settle(self, id: UUID, *, captured: int | None, status: int | None, reason: str | None) -> int | None:
        """Capture `captured` micro-credits of a charge, or refund it all (None); committed when this returns.

        Returns what the account has available then, or None if the charge had been settled the other way.
        LedgerUnavailable if the database does not answer.
        """
        return await asyncio.shield(
            self._start(self._insist(lambda: self._settle(id, captured=captured, status=status, reason=reason)))
        )

    def give_back(self, id: UUID, reason: str) -> None:
        """Refund a charge of unknown outcome while nobody waits for it, unless it turns out to be settled."""
        self._start(self._refund_at_last(id, reason))

    async def close(self) -> None:
        """Return when no statement is running any more; what is still tried after RETRY_SECONDS is given up."""
        while self._running:
            _, pending = await asyncio.wait(self._running, timeout=RETRY_SECONDS)
            for task in pending:
                task.cancel()

    async def _hold(self, hold: Hold) -> int:
        try:
            available = await fetchval(
                self._pool,
                """WITH debit AS (
                       UPDATE accounts SET available = available - $4, held = held + $4
                        WHERE id = $2 AND available >= $4
                       RETURNING available),
                   charge AS (
                       INSERT INTO charges (id, account, key, held, route, owner, deadline)
                       SELECT $1, $2, $3, $4, $5, $6, clock_timestamp() + $7 * interval '1 second' FROM debit),
                   entry AS (
                       INSERT INTO journal (id, step, kind, account, available, held, granted, spent)
                       SELECT $1, 0, 'hold', $2, -$4, $4, 0, 0 FROM debit)
                   SELECT available FROM debit""",
                hold.id,
                hold.account,
                hold.key,
                hold.amount,
                hold.route,
                self._owner,
                hold.seconds,
            )
        except asyncpg.UniqueViolationError:
            available = None
        if available is None:
            # An earlier try may have been committed although its answer was lost; it took the credit, too.
            available = await self._available_beside(hold.id)
        if available is None:
            balance = await self._available(hold.account)
            raise InsufficientCredits(price=credits.show(hold.amount), balance=credits.show(balance))
        return int(available)

    async def _available_beside(self, charge: UUID) -> int | None:
        available: int | None = await fetchval(
            self._pool,
            """SELECT a.available FROM charges c JOIN accounts a ON a.id = c.account
                WHERE c.id = $1 AND c.state = 'held'""",
            charge,
        )
        return available

    async def _settle(self, id: UUID, *, captured: int | None, status: int | None, reason: str | None) -> int | None:
        state = "refunded" if captured is None else "captured"
        available: int | None = await fetchval(
            self._pool,
            """WITH charge AS (
                   UPDATE charges
                      SET state = $2, captured = $3, status = $4, reason = $5, settled_at = clock_timestamp()
                    WHERE id = $1 AND state = 'held'
                   RETURNING account, held),
               credit AS (
                   UPDATE accounts a
                      SET held = a.held - c.held, available = a.available + c.held - $3, spent = a.spent + $3
                     FROM charge c WHERE a.id = c.account
                   RETURNING a.available),
               entry AS (
                   INSERT INTO journal (id, step, kind, account, available, held, granted, spent, reason)
                   SELECT $1, 1, CASE $2 WHEN 'captured' THEN 'capture' ELSE 'refund' END,
                          account, held - $3, -held, 0, $3, $5 FROM charge)
               SELECT available FROM credit""",
            id,
            state,
            captured or 0,
            status,
            reason,
        )
        if available is not None:
            return available
        # Settled before: by an earlier try of ours whose answer was lost, or by somebody else.
        repeated: int | None = await fetchval(
            self._pool,
            """SELECT a.available FROM charges c JOIN accounts a ON a.id = c.account
                WHERE c.id = $1 AND c.state = $2 AND c.captured = $3""",
            id,
            state,
            captured or 0,
        )
        return repeated

    async def _available(self, account: int) -> int:
        return int(await fetchval(self._pool, "SELECT available FROM accounts WHERE id = $1", account))

    async def _refund_at_last(self, id: UUID, reason: str) -> None:
        for _ in range(GIVE_BACK_TRIES):
            try:
                await self._insist(lambda: self._settle(id, captured=None, status=None, reason=reason))
            except LedgerUnavailable:
                continue
            return
        log.error("charge %s could not be given back (%s)", id, reason)

    async def _insist(self, statement: Callable[[], Awaitable[T]]) -> T:
        """Run the statement until its outcome is known, or RETRY_SECONDS are over."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + RETRY_SECONDS
        pause = 0.05
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    return await statement()
            except OUTAGE as error:
                if clock() + pause > deadline:
                    self._complain(error)
                    raise LedgerUnavailable from error
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 (spreads retries; no secret)
            pause = min(pause * 2, 1.0)

    def _complain(self, error: BaseException) -> None:
        """One line in LOG_SECONDS: an outage fails every call."""
        now = asyncio.get_running_loop().time()
        if now >= self._quiet_until:
            self._quiet_until = now + LOG_SECONDS
            log.error("the database does not answer: %s", error or type(error).__name__)

    def _start(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task
