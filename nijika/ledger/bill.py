"""What one call costs, by how the worker's answer turns out."""

import logging
from collections.abc import Mapping

from nijika import credits
from nijika.ledger.charge import Charge

log = logging.getLogger("nijika.ledger")


class Bill:
    """The bill of a `charge`; `report` names the field in which the worker tells its cost (None: the whole hold).

    `cost` is what will be captured, in micro-credits, as far as is known by now.
    """

    def __init__(self, charge: Charge, report: str | None) -> None:
        self.charge = charge
        self.cost = 0
        self._report = report
        self._status = 0

    def foresee(self, status: int, fields: Mapping[str, str]) -> None:
        """Read the head of the worker's answer: only a success (2xx) costs anything."""
        self._status = status
        self.cost = self._reported(fields) if self._is_success else 0

    async def settle(self) -> None:
        """Capture or refund, by what was foreseen; committed when this returns. ChargeLost, LedgerUnavailable."""
        if self._is_success:
            await self.charge.capture(self.cost, status=self._status)
        else:
            await self.charge.refund(f"status-{self._status}", status=self._status)

    @property
    def is_foreseen(self) -> bool:
        """Whether the head of the answer is known."""
        return self._status != 0

    @property
    def _is_success(self) -> bool:
        return 200 <= self._status < 300  # noqa: PLR2004 (2xx)

    def _reported(self, fields: Mapping[str, str]) -> int:
        held = self.charge.held
        if self._report is None or held == 0:  # a free re-run costs nothing, whatever the worker reports
            return held
        try:
            cost = credits.parse(fields[self._report].strip())
        except (KeyError, ValueError):
            cost = held + 1
        if cost > held:
            told = (self.charge.id, self._report, fields.get(self._report), credits.show(held))
            log.warning("charge %s: %s is %r, no amount up to %s; the whole hold is captured", *told)
            return held
        return cost
