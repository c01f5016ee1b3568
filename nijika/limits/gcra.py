"""The generic cell rate algorithm in whole nanoseconds, and a bounded table of its states in memory.

Source: ITU-T I.371, Annex A (virtual scheduling algorithm).
"""

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

_SECOND = 1_000_000_000


@dataclass(frozen=True)
class Rate:
    """`count` calls each `seconds`, of which `burst` may come at once."""

    count: int
    seconds: int
    burst: int

    @cached_property
    def interval(self) -> int:
        """Nanoseconds from one call to the next, rounded up, so that there are never more than `count`."""
        return -(-self.seconds * _SECOND // self.count)

    @cached_property
    def capacity(self) -> int:
        """Nanoseconds in which an exhausted burst comes back."""
        return self.burst * self.interval

    @cached_property
    def window(self) -> int:
        """Whole seconds in which an exhausted burst comes back."""
        return _seconds(self.capacity)

    def take(self, ahead: int) -> "Decision":
        """Whether one more call may pass while the theoretical arrival time is `ahead` nanoseconds from now."""
        interval = self.interval
        after, capacity = ahead + interval, self.capacity
        if after > capacity:
            return Decision(False, 0, _seconds(after - capacity), _seconds(ahead))
        return Decision(True, (capacity - after) // interval, 0, _seconds(after))

    def peek(self, ahead: int) -> "Decision":
        """What `take` would answer, told without a call being made."""
        free = (self.capacity - ahead) // self.interval
        wait = 0 if free else _seconds(ahead + self.interval - self.capacity)
        return Decision(free > 0, free, wait, _seconds(ahead))


@dataclass(frozen=True)
class Decision:
    """Whether a call may pass, how many more could now, and whole seconds until the next can and until all can."""

    passes: bool
    remaining: int
    retry_after: int
    reset: int


class Memory:
    """The state of up to `entries_max` callers under one rate.

    A full table forgets the caller whose state is nearest to having no effect: an expired one if there is any.
    """

    def __init__(self, rate: Rate, *, entries_max: int, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._rate = rate
        self._entries_max = entries_max
        self._clock = clock
        # The theoretical arrival time (TAT) of each caller's next call; one heap item a caller, with a TAT that was
        # true once. TATs only grow, so the true smallest is found by mending the top until it is true.
        self._arrivals: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def __len__(self) -> int:
        """How many callers are known."""
        return len(self._arrivals)

    def take(self, caller: str) -> Decision:
        """Count one call of `caller` if it may pass."""
        now = self._clock()
        known = self._arrivals.get(caller)
        start = max(known or 0, now)
        decision = self._rate.take(start - now)
        if not decision.passes:
            return decision
        arrival = start + self._rate.interval
        if known is None:
            self._make_room()
            heapq.heappush(self._heap, (arrival, caller))
        self._arrivals[caller] = arrival
        return decision

    def peek(self, caller: str) -> Decision:
        """What `take` would answer, without counting."""
        return self._rate.peek(max(self._arrivals.get(caller, 0) - self._clock(), 0))

    def _make_room(self) -> None:
        while len(self._arrivals) >= self._entries_max:
            arrival, caller = self._heap[0]
            current = self._arrivals[caller]
            if current > arrival:
                heapq.heapreplace(self._heap, (current, caller))
                continue
            heapq.heappop(self._heap)
            del self._arrivals[caller]


def _seconds(nanoseconds: int) -> int:
    return -(-nanoseconds // _SECOND)
