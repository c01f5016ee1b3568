"""The pace at which calls to an upstream are started."""

import asyncio
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from nijika.errors import UpstreamUnavailable


@dataclass(frozen=True)
class Pace:
    """At most `starts` calls begin within `seconds`; others wait up to `wait_seconds`, `waiting_max` of them."""

    starts: float
    seconds: float
    wait_seconds: float = 10.0
    waiting_max: int = 256


class Pacing:
    """Keeps the `pace`; `waiting` calls wait for their start."""

    def __init__(self, pace: Pace) -> None:
        self.waiting = 0
        self.pace = pace
        self._limiter = AsyncLimiter(pace.starts, pace.seconds)

    async def start(self) -> None:
        """Return when one more call may start; UpstreamUnavailable if that is too far away."""
        if self.waiting >= self.pace.waiting_max:
            raise UpstreamUnavailable
        self.waiting += 1
        try:
            async with asyncio.timeout(self.pace.wait_seconds):
                await self._limiter.acquire()
        except TimeoutError:
            raise UpstreamUnavailable from None
        finally:
            self.waiting -= 1
