"""The body of an answer between the socket and its reader: what waits there is bounded."""

import asyncio
from collections.abc import Callable

WAITING_BYTES_MAX = 65_536
"""When so much waits, no more is read from the socket; one read may go beyond."""


class Inflow:
    """Takes pieces in and gives them out; `hold` is told whether the socket is to wait."""

    def __init__(self, hold: Callable[[bool], None]) -> None:
        self._hold = hold
        self._is_held = False
        self._pieces: list[bytes] = []
        self._size = 0
        self._is_over = False
        self._failure: Exception | None = None
        self._reader: asyncio.Future[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether `take` has something to say."""
        return self._is_over or self._size > 0

    @property
    def has_piece(self) -> bool:
        """Whether `take` gives some of the body."""
        return self._size > 0

    def feed(self, piece: bytes) -> None:
        """Some more of it, or nothing."""
        if not piece:
            return
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size >= WAITING_BYTES_MAX and not self._is_held:
            self._is_held = True
            self._hold(True)
        self._wake_reader()

    def end(self, failure: Exception | None = None) -> None:
        """That was all, or what came of it before the `failure`. The socket need not wait any more."""
        if self._is_over:
            return
        self._is_over, self._failure = True, failure
        self._release()
        self._wake_reader()

    def take(self) -> bytes:
        """All that waits; nothing at the end. Raises the failure behind what came before it."""
        if not self._pieces and self._failure is not None:
            raise self._failure
        pieces, self._pieces, self._size = self._pieces, [], 0
        if not self._is_over:
            self._release()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def readany(self) -> bytes:
        """As `take`, once there is something. One at a time."""
        if not self.is_ready:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        return self.take()

    def _release(self) -> None:
        if self._is_held:
            self._is_held = False
            self._hold(False)

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
