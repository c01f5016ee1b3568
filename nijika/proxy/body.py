"""What a request's body must be to the exchange that sends it, wherever it comes from."""

from collections.abc import AsyncIterator
from typing import Protocol

from nijika.errors import Problem
from nijika.proxy.patience import Turn


class Body(Protocol):
    """What is sent to a worker: an Inbound, or what stands for one."""

    exists: bool
    sent_bytes: int
    """How much `chunks` has given, over all the times that it was sent."""

    @property
    def complete(self) -> bool:
        """Whether all of the caller's body was read."""

    @property
    def failure(self) -> Problem | None:
        """Why the caller's side broke."""

    @property
    def is_here(self) -> bool:
        """Whether reading it waits for nobody, and it is small."""

    @property
    def is_small(self) -> bool:
        """Whether it, once sent, can surely be sent again."""

    @property
    def is_replayable(self) -> bool:
        """Whether it, as far as it was read, can be sent again."""

    def forget(self) -> None:
        """It will not be sent again."""

    def time(self, turn: Turn) -> None:
        """From here on `turn` is told whether it is the caller who is waited for."""

    def chunks(self) -> AsyncIterator[bytes]:
        """It from its beginning; raises `failure`."""
