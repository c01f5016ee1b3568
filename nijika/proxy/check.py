"""Active checks: a background task for each address, which asks it how it is."""

import asyncio
from dataclasses import dataclass

from nijika.proxy.knock import Ask, Knock
from nijika.proxy.place import Place

FAILURES = 2
"""One check may be lost; this many in a row send an address to rest."""

_GOOD_FOR = 3.0
"""In intervals: the next check comes after one, and has one to be answered."""


@dataclass(frozen=True)
class Check:
    """GET `path` every `seconds`; it is to be answered with 2xx within as many."""

    path: str
    seconds: float


class Checking:
    """Asks one `place` again and again, as long as `run` runs."""

    def __init__(self, place: Place, check: Check, ask: Ask) -> None:
        self._place = place
        self._check = check
        self._ask = ask
        self._failures = 0

    async def run(self) -> None:
        """Until it is cancelled. What goes wrong is the place's failure, whatever it is."""
        while True:
            self._judge(await self._answer())
            await asyncio.sleep(self._check.seconds)

    async def _answer(self) -> Knock | None:
        """None if it took too long."""
        try:
            async with asyncio.timeout(self._check.seconds):
                return await self._ask(self._place, self._check.path)
        except TimeoutError:
            return None

    def _judge(self, answer: Knock | None) -> None:
        health = self._place.health
        if answer is not None and not answer.failure:
            self._failures = 0
            health.passed_check()
            return
        self._failures += 1
        if self._failures >= FAILURES:
            failure = f"does not answer to {self._check.path} in time" if answer is None else answer.failure
            health.failed_checks(failure, self._check.seconds * _GOOD_FOR, hangs=answer is None)
