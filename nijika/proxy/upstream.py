"""A worker behind the gateway: its addresses, the connections to it, and who may go there when."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Self

from nijika.proxy.check import Check, Checking
from nijika.proxy.choice import choose
from nijika.proxy.health import Health, Rest
from nijika.proxy.http1.exchange import Exchange
from nijika.proxy.http1.pool import Pool
from nijika.proxy.http1.upload import Body
from nijika.proxy.knock import Knock, knock
from nijika.proxy.pace import Pace, Pacing
from nijika.proxy.place import Place, Visit
from nijika.proxy.queue import Queue
from nijika.proxy.wake import Wake, Waking

__all__ = ["Check", "Pace", "Rest", "Room", "Timing", "Upstream", "Wake"]

READ_BYTES = 65_536


@dataclass(frozen=True)
class Timing:
    """Seconds to connect, to the head of the answer, between two pieces of it, and for all of these together."""

    connect: float = 5
    first_byte: float = 160
    idle: float = 60
    total: float = 600


@dataclass(frozen=True)
class Room:
    """At most `calls` (None: any number) at each address; others wait up to `wait_seconds`, `waiting_max` of them."""

    calls: int | None = None
    wait_seconds: float = 10.0
    waiting_max: int = 100


class Upstream:
    """An upstream by `name`; `headers` go with every request. Use as an async context manager.

    `fallback` takes calls of which nothing could be sent here; `passed_on_total` counts them.
    """

    def __init__(
        self,
        name: str,
        urls: Sequence[str],
        *,
        headers: Mapping[str, str] | None = None,
        timing: Timing = Timing(),
        wake: Wake | None = None,
        pace: Pace | None = None,
        rest: Rest | None = None,
        check: Check | None = None,
        room: Room = Room(),
    ) -> None:
        self.name = name
        self.headers = dict(headers or {})
        self.timing = timing
        self.wake = wake
        self.fallback: Upstream | None = None
        self.passed_on_total = 0
        self.places = [Place(url, Health(url, rest or Rest(), changed=self._serve_in), room.calls) for url in urls]
        self._pools = {place: Pool(place.base, timing.connect) for place in self.places}
        self._waking = {place: Waking(place, wake, self._knock) for place in self.places if wake}
        self._checking = [Checking(place, check, self._knock) for place in self.places if check]
        self._pacing = None if pace is None else Pacing(pace)
        self._room = room
        self._turns = 0
        self._queue = Queue(self._begin, length_max=room.waiting_max, seconds=room.wait_seconds)

    async def __aenter__(self) -> Self:
        self._checks = [asyncio.create_task(checking.run()) for checking in self._checking]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._checks:
            task.cancel()
        await asyncio.gather(*self._checks, return_exceptions=True)
        for waking in self._waking.values():
            await waking.close()
        for pool in self._pools.values():
            await pool.close()

    @property
    def chain(self) -> "list[Upstream]":
        """This one, its fallback, and so on."""
        return [self, *(self.fallback.chain if self.fallback else ())]

    @property
    def seconds_max(self) -> float:
        """The longest that a call may take here, waiting for its turn at each address included."""
        pace = 0 if self._pacing is None else self._pacing.pace.wait_seconds
        return self.timing.total + pace + len(self.places) * self._room.wait_seconds

    @property
    def waiting(self) -> int:
        """How many calls wait for their turn."""
        return len(self._queue) + (self._pacing.waiting if self._pacing else 0)

    async def visit(self, tried: Set[Place]) -> AbstractContextManager[Visit]:
        """A call at the best place not yet `tried`, for as long as the block runs. Raises Unsent if there is none."""
        return self._stay(await self._queue.turn(tried))

    @contextmanager
    def _stay(self, visit: Visit) -> Iterator[Visit]:
        try:
            yield visit
        finally:
            visit.leave()
            self._queue.serve()

    async def pace(self) -> None:
        """Return when one more call may start; UpstreamUnavailable if that is too far away."""
        if self._pacing is not None:
            await self._pacing.start()

    async def ready(self, place: Place) -> None:
        """Return when the place is awake; UpstreamUnavailable or UpstreamFailed if it does not wake."""
        await self._waking[place].ready()

    async def ask(
        self,
        place: Place,
        method: str,
        target: str,
        fields: Mapping[str, str],
        body: Body | None = None,
    ) -> Exchange:
        """The answer to a request there; `target` lies at the place's origin. To be closed; raises as `Pool.ask`."""
        return await self._pools[place].ask(method, target, fields, body)

    async def get(self, place: Place, target: str) -> Exchange:
        """The answer to a GET with nothing but the upstream's own fields; otherwise as `ask`."""
        return await self.ask(place, "GET", target, self.headers)

    def state(self) -> list[dict[str, object]]:
        """Each place as `/ready` shows it; addresses stay private."""
        return [
            {"state": place.state, "in_flight": place.in_flight, "failure": bool(place.failure)}
            for place in self.places
        ]

    async def _knock(self, place: Place, path: str) -> Knock:
        return await knock(lambda below: self.get(place, place.target(below)), path)

    def _begin(self, tried: Set[Place]) -> Visit | None:
        candidates = [place for place in self.places if place not in tried]
        place = choose(candidates, has_fallback=self.fallback is not None)
        if place is None:
            return None
        self._turns += 1
        place.last_turn = self._turns
        return Visit(place)

    def _serve_in(self, seconds: float) -> None:
        """A rest that ends is looked at a millisecond later: timers may be early by the clock's resolution."""
        asyncio.get_running_loop().call_later(seconds and seconds + 0.001, self._queue.serve)


def milliseconds_since(began: float) -> str:
    """Time since `began` (time.perf_counter()) in the form of Server-Timing."""
    return f"{(time.perf_counter() - began) * 1000:.1f}"
