"""How a worker that was scaled to zero is woken."""

import asyncio
import logging
from dataclasses import dataclass

from nijika.errors import UpstreamFailed, UpstreamUnavailable
from nijika.proxy.knock import Ask
from nijika.proxy.place import Place

PAUSE_SECONDS = 0.5

_MAY_PASS = frozenset({408, 425, 429})
"""Of what a client is told, what may be over in a moment; the rest says that nobody will ever wake there."""

log = logging.getLogger("nijika.upstream")


@dataclass(frozen=True)
class Wake:
    """GET `path` until 2xx, for at most `seconds`."""

    path: str
    seconds: float


class Waking:
    """Knocks at one `place`, once for all who wait for it."""

    def __init__(self, place: Place, wake: Wake, ask: Ask) -> None:
        self._place = place
        self._wake = wake
        self._ask = ask
        self._knocking: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        """Return once a knock was answered well; UpstreamUnavailable if none is in time, UpstreamFailed if refused.

        All who wait share one knocking, which goes on when one of them leaves.
        """
        if self._knocking is None or self._knocking.done():
            self._knocking = asyncio.create_task(self._knock())
        await asyncio.shield(self._knocking)

    async def close(self) -> None:
        """Stop knocking."""
        if self._knocking is not None:
            self._knocking.cancel()
            await asyncio.wait([self._knocking])

    async def _knock(self) -> None:
        health, since = self._place.health, self._place.rests_total
        try:
            async with asyncio.timeout(self._wake.seconds):
                while not await self._is_ready():
                    await asyncio.sleep(PAUSE_SECONDS)
        except TimeoutError:
            health.unreachable(f"does not wake: {health.failure}" if health.failure else "does not wake", since)
            log.warning("%s %s", self._place.base, health.failure)
            raise UpstreamUnavailable(retry_after=30) from None
        health.answered(200, health.rests_total)

    async def _is_ready(self) -> bool:
        status, failure = await self._ask(self._place, self._wake.path)
        if not failure:
            return True
        self._place.health.failure = failure
        if 400 <= status < 500 and status not in _MAY_PASS:  # noqa: PLR2004 (4xx)
            log.warning("%s %s", self._place.base, failure)
            raise UpstreamFailed
        return False
