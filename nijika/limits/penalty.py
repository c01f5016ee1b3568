"""Failures of one caller: once they are too many, it waits before it may try again."""

from nijika.limits.gcra import Memory, Rate
from nijika.limits.settings import PerTime
from nijika.limits.shared import Shared

ENTRIES_MAX = 65_536


class Penalty:
    """Up to `failures` of `kind`, all of which may come at once; in this process, and in a Redis if there is one.

    Those that are being looked at are not known to be failures yet, so a few more may get through at once.
    """

    def __init__(self, kind: str, failures: PerTime) -> None:
        self._kind = kind
        self._rate = Rate(failures.calls, failures.seconds, failures.calls)
        self._memory = Memory(self._rate, entries_max=ENTRIES_MAX)

    def __len__(self) -> int:
        """How many callers are known here."""
        return len(self._memory)

    async def wait(self, caller: str, shared: Shared | None) -> int:
        """Whole seconds until the caller may try again; 0: now."""
        here = self._memory.peek(caller)
        if shared is None or not here.passes:
            return here.retry_after
        there = await shared.peek(self._kind, self._rate, caller)
        return 0 if there is None else there.retry_after

    async def count(self, caller: str, shared: Shared | None) -> None:
        """The caller has failed."""
        self._memory.take(caller)
        if shared is not None:
            await shared.take(self._kind, self._rate, caller)
