"""The living keys that this process has read lately, so that most calls need no query for theirs."""

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence

from nijika.database import OUTAGE, RETRY_SECONDS, Pool
from nijika.errors import LedgerUnavailable
from nijika.store import keys
from nijika.store.keys import Key, Living
from nijika.store.lookups import Lookup, Lookups

LIFE_SECONDS = 5.0
"""What was read counts for this long from the moment in which the reading began, whatever is heard meanwhile."""

KEPT_MAX = 16_384
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.05, 1.0

_NOTHING = (None, float("-inf"))

log = logging.getLogger("nijika.store")


class Keyring:
    """Finds keys by their digests, with one query at a time for all that wait, and remembers the living ones.

    Unknown keys are not remembered: a new key is good at once, and guesses push no other out. `remembered_total` and
    `asked_total` count what `find` had to do.
    """

    def __init__(self, pool: Pool, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._lookups = Lookups()
        # By the digest under which it is stored, the one that was read longest ago first; until when it counts.
        self._kept: OrderedDict[bytes, tuple[Key, float]] = OrderedDict()
        self._forgotten = 0
        self.remembered_total = 0
        self.asked_total = 0

    def __len__(self) -> int:
        return len(self._kept)

    async def find(self, digests: Sequence[bytes]) -> Key | None:
        """The living key that is stored under one of its digests; None if it is unknown, revoked or expired.

        LedgerUnavailable if the database does not answer for RETRY_SECONDS, or if too many wait for it already.
        """
        now = self._clock()
        for digest in digests:
            key, end = self._kept.get(digest, _NOTHING)
            if end > now:
                self.remembered_total += 1
                return key
        self.asked_total += 1
        return await self._asked(digests)

    def forget(self, digest: bytes | None = None) -> None:
        """What was read about a key (None: about all) does not count any more, nor will what is being read."""
        if digest is None:
            self._kept.clear()
        else:
            self._kept.pop(digest, None)
        self._forgotten += 1
        self._lookups.close()

    async def run(self) -> None:
        """Look up what is asked for until cancelled, and while the database is away again and again."""
        pause = PAUSE_SECONDS
        while True:
            batch = await self._lookups.batch()
            try:
                await self._look_up(batch)
            except OUTAGE as error:
                if pause == PAUSE_SECONDS:
                    log.error("keys cannot be looked up: %s", error or type(error).__name__)
                self._lookups.put_back(batch)
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 (spreads retries; no secret)
                pause = min(pause * 2, PAUSE_SECONDS_MAX)
            except Exception as error:
                self._lookups.fail(batch, error)
            else:
                pause = PAUSE_SECONDS

    async def _asked(self, digests: Sequence[bytes]) -> Key | None:
        lookup = self._lookups.join(digests)
        lookup.callers += 1
        try:
            async with asyncio.timeout(RETRY_SECONDS):
                # Whoever leaves does not take the answer away from the others.
                return await asyncio.shield(lookup.answer)
        except TimeoutError:
            raise LedgerUnavailable from None
        finally:
            lookup.callers -= 1

    async def _look_up(self, batch: Collection[Lookup]) -> None:
        began, forgotten = self._clock(), self._forgotten
        async with asyncio.timeout(LIFE_SECONDS):
            found = await keys.living(self._pool, [digest for lookup in batch for digest in lookup.digests])
        if forgotten == self._forgotten:
            self._keep(found, began)
        self._lookups.answer(batch, found)

    def _keep(self, found: Mapping[bytes, Living], began: float) -> None:
        for digest, (key, seconds) in found.items():
            self._kept[digest] = key, began + min(LIFE_SECONDS, LIFE_SECONDS if seconds is None else seconds)
            self._kept.move_to_end(digest)
        while self._kept and (len(self._kept) > KEPT_MAX or next(iter(self._kept.values()))[1] <= began):
            self._kept.popitem(last=False)
