"""A client that writes exactly the bytes it is told to, on a bare socket that reads nothing on its own."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from tests.peers.exchange import RESET
from tests.peers.patience import PATIENCE_SECONDS, within
from tests.peers.reply import Reply, Source, read_reply


async def _no_gap() -> None:
    await asyncio.sleep(0)


class Client:
    """One connection; every wait is bounded and fails with an AssertionError."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._loop = asyncio.get_running_loop()
        self._source = Source(self._receive)

    async def send(self, data: bytes) -> None:
        """Sends all of it; ConnectionError when the server has gone away meanwhile."""
        async with within("the server to take the bytes"):
            await self._loop.sock_sendall(self._socket, data)

    async def send_slowly(
        self, data: bytes, piece_bytes: int = 1, gap: Callable[[], Awaitable[None]] = _no_gap
    ) -> None:
        """Sends in small segments, with whatever the test wants to happen between two of them."""
        for start in range(0, len(data), piece_bytes):
            await self.send(data[start : start + piece_bytes])
            await gap()

    async def push(self, pieces: Iterable[bytes], stall_seconds: float = 1.0) -> int:
        """Sends until the server takes nothing for so long, or all is sent; returns the bytes that it took."""
        taken = 0
        for piece in pieces:
            rest = piece
            while rest:
                count = await self._push_some(rest, stall_seconds)
                if not count:
                    return taken
                taken, rest = taken + count, rest[count:]
        return taken

    async def _push_some(self, data: bytes, stall_seconds: float) -> int:
        writable = asyncio.Event()
        self._loop.add_writer(self._socket, writable.set)
        try:
            async with asyncio.timeout(stall_seconds):
                await writable.wait()
        except TimeoutError:
            return 0
        finally:
            self._loop.remove_writer(self._socket)
        return self._socket.send(data)

    async def head(self) -> Reply:
        """Reads the next answer's head, 1xx included, and leaves the body alone."""
        return await read_reply(self._source, method="HEAD", skip_interim=False)

    async def reply(self, method: str = "POST") -> Reply:
        """Reads the next answer to its end, whatever ends it; `Reply.ending` tells what did."""
        return await read_reply(self._source, method=method)

    async def ask(self, request: bytes, method: str | None = None) -> Reply:
        """Sends a whole request and reads its answer, also where the server closes before it took all."""
        with suppress(ConnectionError):  # what it said before it closed is still to be read
            await self.send(request)
        return await self.reply(method or request.split(b" ", 1)[0].decode("latin-1"))

    async def read_some(self, size: int = 65536, seconds: float = PATIENCE_SECONDS) -> bytes:
        """The next bytes as they come, b"" at the end; ConnectionError on a RST."""
        if self._source.buffer:
            ahead, self._source.buffer = self._source.buffer[:size], self._source.buffer[size:]
            return ahead
        return await self._receive(size, seconds)

    async def read(self, count: int) -> bytes:
        """Exactly so many bytes; AssertionError when the connection ends before."""
        came = bytearray()
        try:
            await self._source.take(count, came)
        except EOFError as error:
            raise AssertionError(f"{error} after {bytes(came)!r}") from error
        return bytes(came)

    async def rest(self) -> bytes:
        """Everything until the server closes or resets; AssertionError when it stays."""
        return await self._source.until_eof()

    async def closed(self, seconds: float = PATIENCE_SECONDS) -> bool:
        """Waits for the server to close; False when it sends something instead or stays."""
        try:
            return not await self.read_some(1, seconds)
        except ConnectionError:
            return True
        except AssertionError:
            return False

    async def _receive(self, size: int = 65536, seconds: float = PATIENCE_SECONDS) -> bytes:
        async with within("bytes of the server", seconds):
            return await self._loop.sock_recv(self._socket, size)

    def half_close(self) -> None:
        """Says that nothing more comes, and goes on listening."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leaves with a RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._socket.close()

    def close(self) -> None:
        """Leaves politely; closing twice is nothing."""
        self._socket.close()


@asynccontextmanager
async def connect(url: str, *, receive_buffer_bytes: int | None = None) -> AsyncIterator[Client]:
    """Connects to host and port of a URL; with a small receive buffer, not reading stops the server soon."""
    address = urlsplit(url)
    connection = socket.socket()
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        async with within("the connection"):
            await asyncio.get_running_loop().sock_connect(connection, (address.hostname, address.port))
        yield Client(connection)
    finally:
        connection.close()
