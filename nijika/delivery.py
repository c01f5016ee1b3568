"""When a caller has the whole answer: once its machine has confirmed every byte."""

import asyncio
from collections.abc import Callable

LOOK_SECONDS = 0.01
LOOK_SECONDS_MAX = 1.0


class Deliveries:
    """Those to be told once `unread` says that nothing of what was sent is still on its way (bytes)."""

    def __init__(self, unread: Callable[[], int]) -> None:
        self._unread = unread
        self._waiting: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def tell(self, callback: Callable[[], None]) -> None:
        """An answer was written whole; call back when it has arrived."""
        self._waiting.append(callback)
        self._look(LOOK_SECONDS)

    def end(self, error: BaseException | None) -> None:
        """The connection is gone, its socket not closed yet; after an `error` nobody knows what arrived."""
        if error is None and self._waiting:
            self._look(None)
        self._waiting.clear()
        self._stop()

    def _look(self, pause: float | None) -> None:
        self._stop()
        if self._unread() == 0:
            for callback in self._waiting:
                callback()
            self._waiting.clear()
        elif pause is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(pause, self._look, min(pause * 2, LOOK_SECONDS_MAX))

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
