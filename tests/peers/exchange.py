"""One request at the upstream and what a behaviour may do with it: read the body, write bytes, break the wire."""

import asyncio
import socket
import struct
from asyncio.trsock import TransportSocket
from collections.abc import Awaitable, Callable, Iterable

from tests.peers.body import Body
from tests.peers.seen import Note, Seen

Headers = Iterable[tuple[str, str]]

REASONS = {200: "OK", 206: "Partial Content", 303: "See Other", 404: "Not Found", 503: "Service Unavailable"}
RESET = struct.pack("ii", 1, 0)


class Exchange:
    """The request seen so far, its body to come, and the wire back to the caller."""

    def __init__(
        self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: asyncio.Event, note: Note
    ) -> None:
        self.seen = seen
        self.body = Body(reader, seen, note)
        self.reader = reader
        self.writer = writer
        self.last = seen.version != b"HTTP/1.1" or "close" in (seen.value("Connection") or "").lower()
        """No other request may follow on this connection."""
        self._left = left
        self._note = note

    async def read_all(self) -> None:
        """Reads the body to its end, keeping its tally only; invites it first where the caller waits to be invited."""
        if (self.seen.value("Expect") or "").lower() == "100-continue" and not self.seen.complete:
            await self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        async for _ in self.body:
            pass

    async def send(self, data: bytes) -> None:
        """Hands bytes to the kernel as they stand; ConnectionError when the caller is gone."""
        self.writer.write(data)
        await self.writer.drain()

    async def send_head(self, status: int, headers: Headers = ()) -> None:
        await self.send(head(status, headers))

    async def send_body(self, data: bytes, *, chunked: bool = False) -> None:
        """Sends a piece of the answer's body and counts it, as one chunk if asked."""
        self.seen.download.add(data)
        await self.send(chunk(data) if chunked else data)

    def finish(self, *, close: bool = False) -> None:
        """Notes that the answer is whole; without it the upstream closes the connection when the behaviour returns."""
        self.seen.finished = True
        self.last = self.last or close
        self._note()

    async def hang_up(self) -> None:
        """Waits, without reading, until the caller leaves."""
        await self._left.wait()

    def reset(self) -> None:
        """Breaks the connection with a RST; what the kernel had not sent is lost."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.writer.transport.abort()

    def stop_reading(self) -> None:
        """Leaves all further bytes in the kernel, in the smallest buffer that it gives."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]  # typed on ReadTransport only

    @property
    def socket(self) -> TransportSocket:
        found: TransportSocket = self.writer.get_extra_info("socket")
        return found


Behaviour = Callable[[Exchange], Awaitable[None]]
"""How the upstream treats one request."""


def head(status: int, headers: Headers = ()) -> bytes:
    """The bytes of an answer's head."""
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'So Be It')}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk; no bytes make the last one."""
    return b"%x\r\n%b\r\n" % (len(data), data)
