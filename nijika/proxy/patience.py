"""How long one exchange may wait for the worker; the time that the caller takes does not count."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nijika.errors import UpstreamTimeout


class Patience:
    """A budget of `seconds` for waiting on the worker, spent in blocks of `limit`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._left = seconds

    @property
    def spent(self) -> float:
        """Seconds that were spent so far."""
        return self._seconds - self._left

    @asynccontextmanager
    async def limit(self, seconds: float) -> AsyncIterator["Turn"]:
        """The block may wait `seconds` for the worker, and never more than is left; else UpstreamTimeout.

        The Turn that it yields stops the clock while somebody else is waited for.
        """
        turn = Turn(seconds, self._left)
        try:
            async with turn.scope:
                yield turn
        except TimeoutError as error:
            if not turn.scope.expired():
                raise
            raise UpstreamTimeout from error
        finally:
            self._left -= turn.end()


class Turn:
    """Whose turn it is within one block: the clock runs for the worker and stands still for the caller."""

    def __init__(self, seconds: float, left: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self._seconds = seconds
        self._left = left
        self._began: float | None = self._clock()
        self._spent = 0.0
        self._over = False
        self.scope = asyncio.timeout(min(seconds, left))

    def waits_for_caller(self, waiting: bool) -> None:
        """Stop the clock, or set it going anew with the block's full time: the worker made progress."""
        if self._over or self.scope.expired():
            return
        now = self._clock()
        if self._began is not None:
            self._spent += now - self._began
        self._began = None if waiting else now
        self.scope.reschedule(None if waiting else now + min(self._seconds, self._left - self._spent))

    def end(self) -> float:
        """Seconds that were spent on the worker; the Turn does nothing from here on."""
        self._over = True
        if self._began is None:
            return self._spent
        return self._spent + self._clock() - self._began
