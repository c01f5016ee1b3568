"""A Redis that may go away: it is asked while it answers, and looked after in silence while it does not."""

import asyncio
import logging
import time
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

CALL_SECONDS = 0.25
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
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await script(keys=[key], args=arguments)
        except Exception as error:  # whatever the client makes of it, Redis did not answer
            self._lose(error)
            return None

    def _lose(self, error: Exception) -> None:
        if self.away:
            return
        self._lost_at = time.monotonic()
        reason = "no answer in time" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
        log.warning("the Redis of the limits (%s) is away, on_outage says what happens: %s", self._place, reason)
