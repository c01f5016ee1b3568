"""How many bytes of bodies this process gathers at once: where pictures cannot flow, memory bounds how many come."""

from collections.abc import Iterator
from contextlib import contextmanager

from nijika.errors import TooManyBodies


class Budget:
    """Room for `bytes_max` bytes of bodies; `left` is what nobody holds."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.left = bytes_max

    @contextmanager
    def share(self, size: int) -> Iterator["Share"]:
        """Room for a body of `size`, which is not taken yet; whatever happens, it is given back after the block."""
        share = Share(self, size)
        try:
            yield share
        finally:
            share.release()


class Share:
    """What one body holds of a budget."""

    def __init__(self, budget: Budget, size: int) -> None:
        self._budget = budget
        # A body larger than all there is comes alone, or else it would never come.
        self._size = min(size, budget.bytes_max)
        self._held = 0

    def take(self) -> None:
        """Hold it from here on, if that is not so already. Raises TooManyBodies."""
        if self._held:
            return
        if self._size > self._budget.left:
            raise TooManyBodies
        self._budget.left -= self._size
        self._held = self._size

    def release(self) -> None:
        """Give it back, if that has not been done."""
        self._budget.left += self._held
        self._held = 0


GATHERED = Budget(128 * 2**20)
"""Counted as they are sent; while one is decoded it takes up to three times as much."""
