"""Calls that wait for room at an address: first come, first served, not too many and not too long."""

import asyncio
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

from nijika.errors import UpstreamUnavailable
from nijika.proxy.place import Place, Visit
from nijika.proxy.unsent import Unsent

Find = Callable[[Set[Place]], Visit | None]

_TASKS: "WeakSet[asyncio.Task[Any]]" = WeakSet()


def waits(task: "asyncio.Task[Any]") -> bool:
    """Whether a task waits in a queue, so that nothing of its call has begun."""
    return task in _TASKS


@dataclass(eq=False, slots=True)
class _Waiter:
    tried: Set[Place]
    visit: asyncio.Future[Visit] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Queue:
    """Up to `length_max` calls, each for up to `seconds`.

    `find` begins a visit at a place that was not tried yet; it gives None if there is none at the moment, and raises
    Unsent if there is nothing to wait for.
    """

    def __init__(self, find: Find, *, length_max: int, seconds: float) -> None:
        self._find = find
        self._length_max = length_max
        self._seconds = seconds
        self._waiting: dict[_Waiter, None] = {}

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def turn(self, tried: Set[Place]) -> Visit:
        """A visit, at once or after all who came before. Raises Unsent if that does not come about.

        Who is cancelled leaves the queue, and gives back what it was just being given.
        """
        if not self._waiting:
            visit = self._find(tried)
            if visit is not None:
                return visit
        if len(self._waiting) >= self._length_max:
            raise Unsent(UpstreamUnavailable())
        waiter, task = _Waiter(tried), asyncio.current_task()
        assert task is not None
        _TASKS.add(task)
        self._waiting[waiter] = None
        self.serve()
        try:
            async with asyncio.timeout(self._seconds):
                return await waiter.visit
        except TimeoutError:
            self._give_back(waiter)
            raise Unsent(UpstreamUnavailable()) from None
        except asyncio.CancelledError:
            self._give_back(waiter)
            raise
        finally:
            _TASKS.discard(task)
            self._waiting.pop(waiter, None)

    def serve(self) -> None:
        """There may be room: let those in who have waited the longest."""
        for waiter in list(self._waiting):
            if not self._let_in(waiter) and not waiter.tried:
                return  # where this one may not go, nobody may

    def _let_in(self, waiter: _Waiter) -> bool:
        if waiter.visit.done():  # it was cancelled, and has not noticed yet
            return True
        try:
            visit = self._find(waiter.tried)
        except Unsent as unsent:
            waiter.visit.set_exception(unsent)
        else:
            if visit is None:
                return False
            waiter.visit.set_result(visit)
        del self._waiting[waiter]
        return True

    def _give_back(self, waiter: _Waiter) -> None:
        if waiter.visit.done() and not waiter.visit.cancelled() and waiter.visit.exception() is None:
            waiter.visit.result().leave()
            self.serve()
