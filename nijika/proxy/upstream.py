"""A worker behind the gateway: its addresses, the connections to it, and the pace at which calls are started."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

import aiohttp
from aiolimiter import AsyncLimiter

from nijika.errors import UpstreamUnavailable
from nijika.proxy.connector import Connector
from nijika.proxy.place import Place

READ_BYTES = 65_536

# Shorter than the keep-alive of common servers (uvicorn: 5 s), so that a call is not lost on a connection which
# the worker is just closing: a POST cannot be sent again.
KEEP_ALIVE_SECONDS = 4.0


@dataclass(frozen=True)
class Wake:
    """How a worker that was scaled to zero is woken: GET `path` until 2xx, for at most `seconds`."""

    path: str
    seconds: float


@dataclass(frozen=True)
class Pace:
    """At most `starts` calls begin within `seconds`; others wait up to `wait_seconds`, `waiting_max` of them."""

    starts: float
    seconds: float
    wait_seconds: float = 10.0
    waiting_max: int = 256


@dataclass(frozen=True)
class Timing:
    """Seconds to connect, to the head of the answer, between two pieces of it, and for all of these together."""

    connect: float = 5
    first_byte: float = 160
    idle: float = 60
    total: float = 600


class Upstream:
    """An upstream by `name`; `headers` go with every request. Use as an async context manager."""

    def __init__(
        self,
        name: str,
        urls: Sequence[str],
        *,
        headers: Mapping[str, str] | None = None,
        timing: Timing = Timing(),
        wake: Wake | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.name = name
        self.places = [Place(url) for url in urls]
        self.headers = dict(headers or {})
        self.timing = timing
        self.wake = wake
        self._pace = pace
        self._waiting = 0

    async def __aenter__(self) -> Self:
        self.session = aiohttp.ClientSession(
            connector=Connector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.timing.connect),
            headers=self.headers,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            auto_decompress=False,
            read_bufsize=READ_BYTES,
        )
        self._limiter = None if self._pace is None else AsyncLimiter(self._pace.starts, self._pace.seconds)
        return self

    async def __aexit__(self, *_: object) -> None:
        for place in self.places:
            await place.close()
        await self.session.close()

    async def pace(self) -> None:
        """Return when one more call may start; UpstreamUnavailable if that is too far away."""
        if self._limiter is None or self._pace is None:
            return
        if self._waiting >= self._pace.waiting_max:
            raise UpstreamUnavailable
        self._waiting += 1
        try:
            async with asyncio.timeout(self._pace.wait_seconds):
                await self._limiter.acquire()
        except TimeoutError:
            raise UpstreamUnavailable from None
        finally:
            self._waiting -= 1

    @asynccontextmanager
    async def visit(self, tried: Set[Place]) -> AsyncIterator[Place | None]:
        """The least busy place not yet `tried`, resting ones last; busy by one more during the block."""
        candidates = [place for place in self.places if place not in tried]
        if not candidates:
            yield None
            return
        place = min(candidates, key=lambda place: (place.rests, place.in_flight))
        place.in_flight += 1
        try:
            yield place
        finally:
            place.in_flight -= 1

    def state(self) -> list[dict[str, object]]:
        """Each place as `/ready` shows it; addresses stay private."""
        return [
            {"state": "resting" if place.rests else "ok", "in_flight": place.in_flight, "failure": bool(place.failure)}
            for place in self.places
        ]


def milliseconds_since(began: float) -> str:
    """Time since `began` (time.perf_counter()) in the form of Server-Timing."""
    return f"{(time.perf_counter() - began) * 1000:.1f}"
