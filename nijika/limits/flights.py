"""How many calls of each caller are under way in this process."""

from collections.abc import Iterator
from contextlib import contextmanager


class Flights:
    """Up to `most` calls of one caller at once; whoever has none under way is not remembered."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        """How many callers have calls under way."""
        return len(self._counts)

    @contextmanager
    def flight(self, caller: str) -> Iterator[bool]:
        """Whether there is room for one more call; if so, it is under way until the block ends, however it ends."""
        count = self._counts.get(caller, 0)
        if count >= self._most:
            yield False
            return
        self._counts[caller] = count + 1
        try:
            yield True
        finally:
            self._land(caller)

    def _land(self, caller: str) -> None:
        left = self._counts[caller] - 1
        if left:
            self._counts[caller] = left
        else:
            del self._counts[caller]
