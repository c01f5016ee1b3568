"""A worker that is a bare socket: it reads requests as they come, and says the bytes that a test gives it."""

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from nijika.proxy.http1.exchange import Exchange
from nijika.proxy.http1.pool import Pool
from tests.peers.patience import within

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Fields = dict[str, str]


class Line:
    """One connection of the client's; `number` counts them."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """The next head, once it is whole; the body is left alone."""
        async with within("a request"):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def ended(self) -> bytes:
        """What still comes before the client ends the connection."""
        async with within("the client to close"):
            with suppress(ConnectionError):
                return await self.reader.read()
        return b""

    def cut(self) -> None:
        """Ends the connection and leaves the parting words of TLS unsaid."""
        sock = self.writer.get_extra_info("socket")
        with socket.socket(fileno=os.dup(sock.fileno())) as same:
            same.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Talk = Callable[[Line], Awaitable[None]]


class Worker:
    """`lines` are the connections that came; what goes wrong while it talks is raised at its end."""

    def __init__(self, talk: Talk) -> None:
        self.lines: list[Line] = []
        self.url = ""
        self._talk = talk
        self._tasks: list[asyncio.Task[None]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lines.append(Line(len(self.lines), reader, writer))
        task = asyncio.create_task(self._serve(self.lines[-1]))
        self._tasks.append(task)

    async def _serve(self, line: Line) -> None:
        try:
            await self._talk(line)
        finally:
            line.writer.close()

    async def finish(self) -> None:
        """All connections were talked on to their end."""
        async with within("the worker to have said everything"):
            await asyncio.gather(*self._tasks)


@asynccontextmanager
async def worker(talk: Talk, context: ssl.SSLContext | None = None) -> AsyncIterator[Worker]:
    """A worker that talks so on each connection, which ends when it has."""
    made = Worker(talk)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    made.url = f"http{'s' if context else ''}://127.0.0.1:{port}"
    try:
        yield made
        await made.finish()
    finally:
        server.close()


def saying(*answers: bytes) -> Talk:
    """Answers the requests of a connection so, one after the other, and waits for its end."""

    async def talk(line: Line) -> None:
        for answer in answers:
            await line.request()
            await line.say(answer)
        await line.ended()

    return talk


@asynccontextmanager
async def asking(talk: Talk) -> AsyncIterator[tuple[Pool, Worker]]:
    """A pool for a worker that talks so."""
    async with worker(talk) as behind:
        pool = Pool(behind.url, connect_seconds=5)
        try:
            yield pool, behind
        finally:
            await pool.close()


async def body(answer: Exchange) -> bytes:
    """All of it."""
    whole = b""
    async with within("the rest of an answer"):
        while piece := await answer.content.readany():
            whole += piece
    return whole


async def asked(pool: Pool, method: str = "GET", target: str = "/", fields: Fields | None = None) -> tuple[int, bytes]:
    """Status and body of the answer to a request without a body."""
    async with within("an answer"):
        answer = await pool.ask(method, target, fields or {})
    try:
        return answer.status, await body(answer)
    finally:
        answer.close()


class Made:
    """A body that a generator makes."""

    is_here = False

    def __init__(self, chunks: Callable[[], AsyncIterator[bytes]]) -> None:
        self.chunks = chunks


class Pieces:
    """A body in these pieces."""

    def __init__(self, *parts: bytes, is_here: bool = False) -> None:
        self.is_here = is_here
        self._parts = parts

    async def chunks(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part
