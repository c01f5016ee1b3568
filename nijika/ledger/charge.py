"""One charge while its request lives: held, and then either captured or refunded, for ever."""

from __future__ import annotations

from asyncio import CancelledError
from typing import TYPE_CHECKING, Literal, Self

from nijika.errors import ChargeLost, ChargeUnknown, LedgerUnavailable, Problem
from nijika.ledger.orders import Delivery, Hold, Settlement

if TYPE_CHECKING:
    from types import TracebackType

    from nijika.ledger.ledger import Ledger

CALLER_GONE = "caller-gone"
"""What a task is cancelled with when it is the caller who left, and not the gateway that stops."""


class Charge:
    """A hold of `held` micro-credits, 0 for a free re-run. As a context manager it is refunded unless settled inside.

    `available` is what the account has left, as last seen by this charge; `fingerprint` is of the call that an
    idempotency key stands for.
    """

    def __init__(self, ledger: Ledger, hold: Hold, *, held: int, available: int) -> None:
        self.id = hold.id
        self.held = held
        self.captured = 0
        self.available = available
        self.fingerprint = hold.fingerprint
        self.state: Literal["held", "captured", "refunded", "unknown"] = "held"
        self._ledger = ledger
        self._hold = hold

    async def capture(self, amount: int, *, status: int) -> None:
        """Keep `amount`, give the rest of the hold back; committed when this returns.

        ChargeLost if the charge was refunded meanwhile, ChargeUnknown if the database does not answer.
        """
        self.state = "unknown"
        digest = self.fingerprint.digest if self.fingerprint else None
        order = Settlement(
            self.id,
            self._hold.account,
            amount,
            status=status,
            digest=digest,
            route=self._hold.route,
            held=self.held,
        )
        try:
            available = await self._ledger.settle(order)
        except LedgerUnavailable as error:
            # The caller gets nothing. If the capture is not committed, the hold is given back as soon as can be.
            self._ledger.give_back(self._refund("settlement-unknown"))
            raise ChargeUnknown from error
        if available is None:
            self.state = "refunded"
            raise ChargeLost
        self.state, self.captured, self.available = "captured", amount, available

    async def refund(self, reason: str, *, status: int | None = None) -> None:
        """Give the whole hold back; committed when this returns, or as soon as the database answers again."""
        self.state = "unknown"
        order = self._refund(reason, status)
        try:
            available = await self._ledger.settle(order)
        except LedgerUnavailable:
            self._ledger.give_back(order)
            return
        self.state = "refunded"
        if available is not None:
            self.available = available

    def delivered(self, arrived: bool) -> None:
        """The caller has the whole answer, or will never have it: then a later attempt under its key is a re-run."""
        name = self._hold.idempotency_key
        if name is not None and self.state != "refunded":
            # What it got instead of a result that was perhaps paid for is no result.
            self._ledger.delivered(Delivery(self.id, self._hold.account, name, arrived and self.state == "captured"))

    def _refund(self, reason: str, status: int | None = None) -> Settlement:
        hold = self._hold
        return Settlement(self.id, hold.account, None, status=status, reason=reason, route=hold.route, held=self.held)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.state != "held":
            return
        if isinstance(error, Problem):
            await self.refund(error.code, status=error.status)
        elif isinstance(error, CancelledError):
            await self.refund(CALLER_GONE if CALLER_GONE in error.args else "gateway-stopped")
        else:
            await self.refund("gateway-failed")
