"""All callers of a run: each makes one call after the other, and some insist until they have their result."""

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence

from tests.crash.attempt import Call, attempt, manner
from tests.crash.customers import Customers
from tests.crash.plan import PRICES, Plan
from tests.crash.records import Attempt

_TRIES = 4
_POOR_SHARE = 0.1
_TWICE_SHARE = 0.2  # of tries under a key are sent twice at once, as by a double click
_SIZES = (100, 5_000, 150_000)
_AWAY_SECONDS = 0.05


class Callers:
    """Calls to the gateways on `ports`; `attempts` are what came of them so far."""

    def __init__(self, plan: Plan, customers: Customers, ports: Sequence[int]) -> None:
        self.attempts: list[Attempt] = []
        self.unreached = 0
        self.successes = 0
        self._plan = plan
        self._customers = customers
        self._ports = ports
        self._numbers = itertools.count()

    async def call(self, until: Callable[[], bool]) -> None:
        """Call until that is so; returns when the last call has ended."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._plan.callers):
                group.create_task(self._go_on(self._ports[number % len(self._ports)], until))

    async def _go_on(self, port: int, until: Callable[[], bool]) -> None:
        # Each has a gateway of its own for the first try: one that is stopped must not draw all callers to itself.
        while not until():
            source = random.Random(f"{self._plan.seed}/{next(self._numbers)}")
            await self._insist(self._next(source), port, source)

    def _next(self, source: random.Random) -> Call:
        keys = self._customers.poor if source.random() < _POOR_SHARE else self._customers.rich
        return Call(
            token=f"{self._plan.seed}-{source.getrandbits(64):016x}",
            path=source.choice(list(PRICES)),
            key=source.choice(keys),
            size=source.choice(_SIZES),
            keyed=source.random() < self._plan.keyed_share,
        )

    async def _insist(self, call: Call, port: int, source: random.Random) -> None:
        """One try; for a call with a key a few more, until there is a result, or none to be had."""
        for _ in range(_TRIES if call.keyed else 1):
            at_once = 2 if call.keyed and source.random() < _TWICE_SHARE else 1
            came = await asyncio.gather(*(self._try(call, port, source) for _ in range(at_once)))
            if any(one is not None and _is_final(one) for one in came):
                return
            await asyncio.sleep(source.uniform(0.02, 0.4) if call.keyed else 0)
            port = source.choice(self._ports)

    async def _try(self, call: Call, port: int, source: random.Random) -> Attempt | None:
        """What came of one request; None if no gateway is there."""
        try:
            came = await attempt(call, port, manner(source))
        except ConnectionError:
            self.unreached += 1
            await asyncio.sleep(_AWAY_SECONDS)
            return None
        self.attempts.append(came)
        self.successes += came.is_success
        return came


def _is_final(attempt: Attempt) -> bool:
    """Whether asking again makes no sense: there is the result, or it cannot be had."""
    return attempt.is_success or attempt.charge is not None or attempt.status in {402, 422}
