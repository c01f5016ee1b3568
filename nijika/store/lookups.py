"""Look-ups that wait for the database: one for each key, however many callers ask for it."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from nijika.errors import LedgerUnavailable
from nijika.store.keys import Key, Living

WAITING_MAX = 4_096
BATCH_MAX = 256


class Lookup:
    """A key by all digests under which it may be stored; `callers` wait for the `answer`."""

    def __init__(self, digests: Sequence[bytes]) -> None:
        self.digests = digests
        self.callers = 0
        self.answer: asyncio.Future[Key | None] = asyncio.get_running_loop().create_future()
        self.answer.add_done_callback(_seen)

    @property
    def name(self) -> bytes:
        """What tells it from other keys."""
        return self.digests[0]


class Lookups:
    """Those that wait, in the order of their arrival; those that were taken may be joined until they have an answer."""

    def __init__(self) -> None:
        self._waiting: list[Lookup] = []
        self._joinable: dict[bytes, Lookup] = {}
        self._arrived = asyncio.Event()

    async def batch(self) -> list[Lookup]:
        """The next ones, as soon as there are any; those that have no callers left are dropped."""
        while True:
            await self._arrived.wait()
            if batch := self._take():
                return batch

    def join(self, digests: Sequence[bytes]) -> Lookup:
        """The look-up of this key that is under way, or a new one. LedgerUnavailable if too many wait already."""
        lookup = self._joinable.get(digests[0])
        if lookup is not None:
            return lookup
        if len(self._waiting) >= WAITING_MAX:
            raise LedgerUnavailable
        lookup = self._joinable[digests[0]] = Lookup(digests)
        self._waiting.append(lookup)
        self._arrived.set()
        return lookup

    def close(self) -> None:
        """Let nobody join those that are there: whoever comes from now on gets what is read from now on."""
        self._joinable.clear()

    def put_back(self, batch: Collection[Lookup]) -> None:
        """Nothing came of these; they wait again, before all others."""
        self._waiting[:0] = batch
        self._arrived.set()

    def answer(self, batch: Collection[Lookup], found: Mapping[bytes, Living]) -> None:
        """Tell the callers; whose key is not among those that were `found` has none."""
        for lookup in batch:
            self._end(lookup)
            lookup.answer.set_result(next((found[digest].key for digest in lookup.digests if digest in found), None))

    def fail(self, batch: Collection[Lookup], error: Exception) -> None:
        """Tell the callers that it cannot be known."""
        for lookup in batch:
            self._end(lookup)
            lookup.answer.set_exception(error)

    def _take(self) -> list[Lookup]:
        for lookup in self._waiting:
            if not lookup.callers:
                self._end(lookup)
        wanted = [lookup for lookup in self._waiting if lookup.callers]
        batch, self._waiting = wanted[:BATCH_MAX], wanted[BATCH_MAX:]
        if not self._waiting:
            self._arrived.clear()
        return batch

    def _end(self, lookup: Lookup) -> None:
        if self._joinable.get(lookup.name) is lookup:
            del self._joinable[lookup.name]


def _seen(answer: "asyncio.Future[Key | None]") -> None:
    """Nobody may be left who would look at an error."""
    if not answer.cancelled():
        answer.exception()
