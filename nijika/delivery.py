"""When a caller has the whole answer: once its machine has confirmed every byte."""

import asyncio
from collections.abc import Callable

LOOK_SECONDS = 0.002
LOOK_SECONDS_MAX = 0.25


class Delivery:
    """What is known of the bytes that were sent on a connection; `unread` tells how many are still on their way."""

    def __init__(self, unread: Callable[[], int]) -> None:
        self._unread = unread
        self._is_over = False
        self._has_all = False

    def end(self, error: BaseException | None) -> None:
        """The connection is gone, its socket not closed yet; after an `error` nobody knows what arrived."""
        self._has_all = error is None and not self._is_over and self._unread() == 0
        self._is_over = True

    async def arrives(self, seconds: float) -> bool:
        """Whether all that was sent so far arrives within this time."""
        clock = asyncio.get_running_loop().time
        deadline, pause = clock() + seconds, LOOK_SECONDS
        while not self._is_over:
            if self._unread() == 0:
                return True
            if clock() >= deadline:
                return False
            await asyncio.sleep(pause)
            pause = min(pause * 2, LOOK_SECONDS_MAX)
        return self._has_all
