"""How much may be in the house at once: requests, which are counted; pixels and bytes, which are added up."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from worker.problems import Busy, TooLate


class Places:
    """So many places; whoever comes when all are taken is refused."""

    def __init__(self, count: int) -> None:
        self.left = count

    def refuse_when_full(self) -> None:
        """Raise Busy if no place is left."""
        if self.left <= 0:
            raise Busy

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold one place. Raises Busy."""
        self.refuse_when_full()
        self.left -= 1
        try:
            yield
        finally:
            self.left += 1


class Room:
    """Room for so much of something, which is waited for in the order of coming: what is large is not passed by."""

    def __init__(self, count: int) -> None:
        self._whole = self._left = count
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def held(self, count: int, deadline: float) -> AsyncIterator[None]:
        """Hold room for `count`; what is larger than the whole room gets all of it, alone.

        Ask once for all that one request needs, or two may wait for each other. Raises TooLate if the wait would
        last longer than until `deadline`, by the loop's clock.
        """
        count = min(count, self._whole)
        try:
            async with asyncio.timeout_at(deadline):
                await self._enter(count)
        except TimeoutError as error:
            raise TooLate from error
        try:
            yield
        finally:
            self._leave(count)

    async def _enter(self, count: int) -> None:
        if not self._waiting and count <= self._left:
            self._left -= count
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((count, turn))
        try:
            await turn
        except asyncio.CancelledError:
            # Called in and sent away in the same moment: what was taken for it goes back.
            self._leave(0 if turn.cancelled() else count)
            raise

    def _leave(self, count: int) -> None:
        self._left += count
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= self._left):
            count, turn = self._waiting.popleft()
            if not turn.done():
                self._left -= count
                turn.set_result(None)
