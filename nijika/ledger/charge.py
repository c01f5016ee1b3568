"""One charge while its request lives: held, and then either captured or refunded, for ever."""

from __future__ import annotations

from asyncio import CancelledError
from typing import TYPE_CHECKING, Literal, Self
from uuid import UUID

from nijika.errors import ChargeLost, ChargeUnknown, LedgerUnavailable, Problem

if TYPE_CHECKING:
    from types import TracebackType

    from nijika.ledger.ledger import Ledger


class Charge:
    """A hold of `held` micro-credits under `id`. As a context manager it is refunded unless it was settled inside.

    `available` is what the account has left, as last seen by this charge.
    """

    def __init__(self, ledger: Ledger, id: UUID, held: int, available: int) -> None:
        self.id = id
        self.held = held
        self.captured = 0
        self.available = available
        self.state: Literal["held", "captured", "refunded", "unknown"] = "held"
        self._ledger = ledger

    async def capture(self, amount: int, *, status: int) -> None:
        """Keep `amount`, give the rest of the hold back; committed when this returns.

        ChargeLost if the charge was refunded meanwhile, ChargeUnknown if the database does not answer.
        """
        try:
            available = await self._ledger.settle(self.id, captured=amount, status=status, reason=None)
        except LedgerUnavailable as error:
            # The caller gets nothing. If the capture is not committed, the hold is given back as soon as can be.
            self.state = "unknown"
            self._ledger.give_back(self.id, "settlement-unknown")
            raise ChargeUnknown from error
        if available is None:
            self.state = "refunded"
            raise ChargeLost
        self.state, self.captured, self.available = "captured", amount, available

    async def refund(self, reason: str, *, status: int | None = None) -> None:
        """Give the whole hold back; committed when this returns, or as soon as the database answers again."""
        self.state = "unknown"
        try:
            available = await self._ledger.settle(self.id, captured=None, status=status, reason=reason)
        except LedgerUnavailable:
            self._ledger.give_back(self.id, reason)
            return
        self.state = "refunded"
        if available is not None:
            self.available = available

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.state != "held":
            return
        if isinstance(error, Problem):
            await self.refund(error.code, status=error.status)
        else:
            await self.refund("gateway-stopped" if isinstance(error, CancelledError) else "gateway-failed")
