"""How long one exchange may wait for the worker; the time that the caller takes does not count."""

import asyncio
from types import TracebackType

from nijika.errors import UpstreamTimeout


class Patience:
    """A budget of `seconds` for waiting on the worker, spent in blocks of `limit`."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self._seconds = seconds

    @property
    def spent(self) -> float:
        """Seconds that were spent so far."""
        return self._seconds - self.left

    def limit(self, seconds: float) -> "Turn":
        """The block may wait `seconds` for the worker, and never more than is left; else UpstreamTimeout.

        The Turn that it yields stops the clock while somebody else is waited for.
        """
        return Turn(self, seconds)


class Turn:
    """Whose turn it is within one block: the clock runs for the worker and stands still for the caller.

    Turns change with each piece of a body, so the timer is left alone then: it looks at the clock when it rings.
    """

    def __init__(self, patience: Patience, seconds: float) -> None:
        self._patience = patience
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._began: float | None = None
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._is_late = False

    async def __aenter__(self) -> "Turn":
        self._task = asyncio.current_task()
        assert self._task is not None, "there is one where anything is awaited"
        self._cancelling = self._task.cancelling()
        self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        self._stop()
        if self._timer is not None:
            self._timer.cancel()
        if not self._is_late or task is None:
            return
        is_ours = task.uncancel() <= self._cancelling  # and nobody else has cancelled it, too
        if is_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise UpstreamTimeout from error

    def waits_for_caller(self, waiting: bool) -> None:
        """Stop the clock, or set it going anew with the block's full time: the worker made progress."""
        if self._task is None or self._is_late:
            return
        self._stop()
        if not waiting:
            self._start()

    def _start(self) -> None:
        self._began = self._loop.time()
        self._deadline = self._began + min(self._seconds, self._patience.left)
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._look)

    def _stop(self) -> None:
        if self._began is not None:
            self._patience.left -= self._loop.time() - self._began
        self._began = self._deadline = None

    def _look(self) -> None:
        self._timer = None
        if self._deadline is None or self._task is None:
            return
        if self._deadline > self._loop.time():
            self._timer = self._loop.call_at(self._deadline, self._look)
            return
        self._is_late = True
        self._task.cancel()
