"""One connection of the upstream, which knows when the caller left it."""

import asyncio
from collections.abc import Callable

from tests.peers.seen import Note, Seen

Start = Callable[["Wire", asyncio.StreamReader, asyncio.StreamWriter], None]


class Wire(asyncio.StreamReaderProtocol):
    """Gives the connection's two ends to `start`, and stays in `open_wires` for as long as the connection lives."""

    def __init__(self, number: int, start: Start, open_wires: "set[Wire]", note: Note) -> None:
        super().__init__(asyncio.StreamReader(), lambda reader, writer: start(self, reader, writer))
        self.number = number
        self.seen: Seen | None = None
        """The newest request on this connection."""
        self.left = asyncio.Event()
        self._open_wires = open_wires
        self._note = note
        self._socket: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = transport
        self._open_wires.add(self)
        super().connection_made(transport)

    def eof_received(self) -> bool | None:
        self._leave()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc:
            self._leave()
        self._open_wires.discard(self)
        self._note()
        super().connection_lost(exc)

    def abort(self) -> None:
        """Drops the connection with whatever was still to be sent."""
        if isinstance(self._socket, asyncio.WriteTransport):
            self._socket.abort()

    def _leave(self) -> None:
        if self.seen and not self.seen.finished:
            self.seen.hung_up = True
        self.left.set()
        self._note()
