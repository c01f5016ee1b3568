"""A caller's body that is written anew, in the worker's own words, while it flows in."""

from collections.abc import AsyncIterator, Callable

from nijika.errors import Problem
from nijika.proxy.inbound import Inbound
from nijika.proxy.patience import Turn


class Translated:
    """What `pieces` makes of `inbound`; it is called once for each time that the body is sent, and reads all of it."""

    exists = True

    def __init__(self, inbound: Inbound, pieces: Callable[[], AsyncIterator[bytes]]) -> None:
        self._inbound = inbound
        self._pieces = pieces
        self._failure: Problem | None = None
        self.sent_bytes = 0

    @property
    def complete(self) -> bool:
        """Whether the caller has sent everything, and it could be translated: what could not be is never sent whole."""
        return self._inbound.complete and self._failure is None

    @property
    def failure(self) -> Problem | None:
        """Why the caller's side broke, or why what it sent cannot be translated."""
        return self._failure or self._inbound.failure

    @property
    def is_here(self) -> bool:
        """It is made piece by piece."""
        return False

    @property
    def is_small(self) -> bool:
        """As Inbound's."""
        return self._inbound.is_small

    @property
    def is_replayable(self) -> bool:
        """As Inbound's."""
        return self._inbound.is_replayable and self._failure is None

    def forget(self) -> None:
        """It will not be sent again."""
        self._inbound.forget()

    def time(self, turn: Turn) -> None:
        """As Inbound's."""
        self._inbound.time(turn)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body from its beginning; raises `failure`."""
        try:
            async for piece in self._pieces():
                self.sent_bytes += len(piece)
                yield piece
        except Problem as problem:
            self._failure = problem
            raise
