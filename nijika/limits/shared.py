"""Limits that all processes on one Redis (or Valkey) share: the GCRA of `gcra`, and calls under way by leases."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self
from weakref import WeakValueDictionary

from nijika.limits import lua
from nijika.limits.gcra import Decision, Rate
from nijika.limits.remote import Remote

RETRY_SECONDS = 1.0
LEASE_SECONDS = 60.0
RENEWALS = 3  # in one lease, so that a missed one costs nothing

CAPACITY_DAYS_MAX = 100  # 2^53 nanoseconds, up to which Lua is exact, are 104

_PREFIX = "nijika:"


class Shared:
    """One Redis. While it is away every answer is None, and it is tried each `retry_seconds`, while nobody waits.

    `is_vital`: calls are refused while it is away. A call under way belongs to this process for `lease_seconds`, and is
    renewed; those of a process that was killed are over then.
    """

    def __init__(
        self,
        url: str,
        *,
        is_vital: bool = False,
        retry_seconds: float = RETRY_SECONDS,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self.is_vital = is_vital
        self._remote = Remote(url)
        self._take, self._enter = self._remote.script(lua.TAKE), self._remote.script(lua.ENTER)
        self._renew, self._leave = self._remote.script(lua.RENEW), self._remote.script(lua.LEAVE)
        self._retry_seconds = retry_seconds
        self._lease_seconds = lease_seconds
        self._tending: asyncio.Task[None] | None = None
        self._held: dict[str, set[str]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def away(self) -> bool:
        """Whether Redis does not answer."""
        return self._remote.away

    async def __aenter__(self) -> Self:
        await self._probe()
        self._tending = asyncio.create_task(self._tend())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._tending is not None
        self._tending.cancel()
        await asyncio.wait([self._tending, *self._leaving])
        await self._remote.close()

    async def take(self, rule: str, rate: Rate, caller: str) -> Decision | None:
        """Count one call of `caller` under `rule` if it may pass."""
        ahead = await self._ahead(rule, rate, caller, counts=True)
        return None if ahead is None else rate.take(ahead)

    async def peek(self, rule: str, rate: Rate, caller: str) -> Decision | None:
        """What `take` would answer, without counting."""
        ahead = await self._ahead(rule, rate, caller, counts=False)
        return None if ahead is None else rate.peek(ahead)

    @asynccontextmanager
    async def flight(self, rule: str, most: int, caller: str, call: str) -> AsyncIterator[bool | None]:
        """Whether `call` is one of `most` that `caller` may have under way; it is until the block ends."""
        key = _key("flights", rule, caller)
        enters = None
        try:
            enters = await self._enters(key, most, call)
            yield enters
        finally:
            if enters is not False:  # cancelled before the answer, it may have entered
                self._lands(key, call)

    async def _ahead(self, rule: str, rate: Rate, caller: str, *, counts: bool) -> int | None:
        # Another rate counts anew: the same state would mean something else under it.
        key = _key("rate", f"{rate.count}/{rate.seconds}/{rate.burst}:{rule}", caller)
        ahead: int | None = await self._remote.ask(self._take, key, rate.interval, rate.capacity, int(counts))
        return ahead

    async def _enters(self, key: str, most: int, call: str) -> bool | None:
        await asyncio.sleep(0)  # those that have just ended stand in line before it
        async with self._lock(key):
            answer = await self._remote.ask(self._enter, key, most, self._lease_milliseconds, call)
            if answer != 0:  # in an outage it is written down when Redis is back
                self._held.setdefault(key, set()).add(call)
        return None if answer is None else bool(answer)

    def _lands(self, key: str, call: str) -> None:
        """Without a wait: whoever ends the call, and be it by cancelling, has the answer to see to."""
        calls = self._held.get(key, set())
        calls.discard(call)
        if not calls:
            self._held.pop(key, None)
        task = asyncio.create_task(self._leaves(key, call))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _leaves(self, key: str, call: str) -> None:
        async with self._lock(key):
            await self._remote.ask(self._leave, key, call)

    def _lock(self, key: str) -> asyncio.Lock:
        """One after the other, so that a caller's next call finds its last one gone, and no renewal revives it."""
        return self._locks.setdefault(key, asyncio.Lock())

    async def _tend(self) -> None:
        """Find out when Redis is back, and keep the leases alive."""
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while True:
            await asyncio.sleep(min(self._retry_seconds, self._lease_seconds / RENEWALS))
            is_back = self.away and await self._probe()
            if is_back or loop.time() - renewed >= self._lease_seconds / RENEWALS:
                renewed = loop.time()
                await self._renew_all()

    async def _probe(self) -> bool:
        """By something that writes: a replica reads well, and a full Redis does."""
        rate = Rate(1, 1, 1)
        return await self._remote.probe(self._take, f"{_PREFIX}probe", rate.interval // 1000, rate.capacity, 1)

    async def _renew_all(self) -> None:
        for key in list(self._held):
            async with self._lock(key):
                calls = self._held.get(key)
                if calls:
                    await self._remote.ask(self._renew, key, self._lease_milliseconds, *calls)

    @property
    def _lease_milliseconds(self) -> int:
        return round(self._lease_seconds * 1000)


def _key(kind: str, rule: str, caller: str) -> str:
    """No path has a space in it, so no two pairs are the same key."""
    return f"{_PREFIX}{kind}:{rule} {caller}"
