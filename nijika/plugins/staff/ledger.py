"""Whether the money adds up, counted anew for whoever asks; one count at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from nijika.database import Pool, connected
from nijika.ledger.verify import verify
from nijika.module import FREE, Route
from nijika.pages import words
from nijika.pages.render import page
from nijika.state import POOL

PATH = "/staff/system/ledger"
WAIT_SECONDS = 15.0
INVARIANT_SECONDS = 1800.0


@dataclass(frozen=True)
class Count:
    """The violations of each invariant, when they were counted, and how long that took."""

    violations: dict[str, int]
    at: datetime
    seconds: float


async def _counted(pool: Pool) -> Count:
    began = time.monotonic()
    async with connected(pool) as connection:
        violations = await verify(connection, seconds=INVARIANT_SECONDS)
    return Count(violations, datetime.now(UTC), time.monotonic() - began)


class Verification:
    """Whoever asks while a count is under way waits for that one, `wait_seconds` at most."""

    def __init__(
        self, count: Callable[[Pool], Awaitable[Count]] = _counted, *, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self._count = count
        self._wait_seconds = wait_seconds
        self._task: asyncio.Task[Count] | None = None

    def routes(self) -> Iterable[Route]:
        """`/staff/system/ledger`."""
        yield Route(("GET",), PATH, self._page, FREE, who="admin")

    async def result(self, pool: Pool) -> Count | None:
        """A count that nobody has seen yet; None if it is not done, and then it goes on. LedgerUnavailable."""
        task = self._task = self._task or asyncio.ensure_future(self._count(pool))
        await asyncio.wait({task}, timeout=self._wait_seconds)
        if not task.done():
            return None
        if self._task is task:
            self._task = None
        return task.result()

    async def close(self) -> None:
        """End a count that is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _page(self, request: web.Request) -> web.Response:
        count = await self.result(request.app[POOL])
        return page(request, "staff/ledger.html", count=count, duration=words.duration)
