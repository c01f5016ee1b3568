"""A Redis that may go away: it is asked while it answers, and looked after in silence while it does not."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

CALL_SECONDS = 0.25
TICKS = 5  # of equal length, in which that time passes
CONNECTIONS_MAX = 32

log = logging.getLogger("nijika.limits")


class Remote:
    """The Redis at `url`; whether it answers is found out by calls while it does, and by `probe` while it does not."""

    def __init__(self, url: str) -> None:
        # With RESP 3, redis-py hands out pooled connections that Redis has closed. Its own time limit is a `wait_for`,
        # which on Python 3.11 loses the cancellation of a caller who hung up; `_ask` has one for all of it.
        self._client = Redis.from_url(
            url,
            protocol=2,
            driver_info=None,
            max_connections=CONNECTIONS_MAX,
            socket_timeout=None,
            socket_connect_timeout=None,
        )
        self._gate = asyncio.Semaphore(CONNECTIONS_MAX)
        self._lost_at: float | None = None
        self._heard_at = 0.0
        place = urlsplit(url)
        self._place = f"{place.hostname}:{place.port or 6379}"

    @property
    def away(self) -> bool:
        """Whether Redis does not answer."""
        return self._lost_at is not None

    def script(self, text: str) -> AsyncScript:
        """A script for `ask`."""
        return self._client.register_script(text)

    async def ask(self, script: AsyncScript, key: str, *arguments: str | int) -> Any:
        """What a script says of a key; None, and at once, while Redis is away."""
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._gate.acquire()
        except TimeoutError:  # it answers, but not so many
            return None
        try:
            return None if self.away else await self._ask(script, key, *arguments)
        finally:
            self._gate.release()

    async def probe(self, script: AsyncScript, key: str, *arguments: str | int) -> bool:
        """Ask a Redis that is away; True if it is back."""
        answer = await self._ask(script, key, *arguments)
        if answer is None or self._lost_at is None:
            return False
        log.warning("the Redis of the limits (%s) is back after %d s", self._place, time.monotonic() - self._lost_at)
        self._lost_at = None
        return True

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _ask(self, script: AsyncScript, key: str, *arguments: str | int) -> Any:
        began = time.monotonic()
        try:
            async with _patience():
                answer = await script(keys=[key], args=arguments)
        except Exception as error:  # whatever the client makes of it, Redis did not answer
            # Where others were answered meanwhile, only this answer was lost.
            if not isinstance(error, TimeoutError) or self._heard_at < began:
                self._lose(error)
            return None
        self._heard_at = time.monotonic()
        return answer

    def _lose(self, error: Exception) -> None:
        if self.away:
            return
        self._lost_at = time.monotonic()
        reason = "no answer in time" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
        log.warning("the Redis of the limits (%s) is away, on_outage says what happens: %s", self._place, reason)


@asynccontextmanager
async def _patience() -> AsyncIterator[None]:
    """TimeoutError when the block takes longer than CALL_SECONDS, in which this loop was running.

    When the loop was late itself, the answer may be there, unread. So the time is counted in ticks: one that is late is
    one tick all the same.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle
    async with asyncio.timeout(None) as limit:

        def tick(left: int) -> None:
            nonlocal timer
            if left:
                timer = loop.call_later(CALL_SECONDS / TICKS, tick, left - 1)
            else:
                limit.reschedule(loop.time())

        timer = loop.call_later(CALL_SECONDS / TICKS, tick, TICKS - 1)
        try:
            yield
        finally:
            timer.cancel()
