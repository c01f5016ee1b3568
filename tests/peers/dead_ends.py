"""Addresses at which no request is ever read; each gives its URL for as long as the block lasts."""

import asyncio
import socket
from asyncio.trsock import TransportSocket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager

from tests.peers.exchange import RESET

LOOPBACK = "127.0.0.1"


@contextmanager
def closed_port() -> Iterator[str]:
    """Nobody listens: the connection is refused. The port stays taken, so nobody else gets it."""
    with closing(socket.socket()) as holder:
        holder.bind((LOOPBACK, 0))
        yield url(holder)


@contextmanager
def full_backlog() -> Iterator[str]:
    """Connecting itself hangs: the queue of the kernel is full and never emptied."""
    with ExitStack() as stack:
        listener = stack.enter_context(closing(socket.socket()))
        listener.bind((LOOPBACK, 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(closing(socket.socket()))
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield url(listener)


@contextmanager
def never_accepting() -> Iterator[str]:
    """The kernel completes the connection, and nobody ever picks it up."""
    with closing(socket.create_server((LOOPBACK, 0), backlog=100)) as listener:
        yield url(listener)


@asynccontextmanager
async def hanging_up(*, with_reset: bool = False) -> AsyncIterator[str]:
    """Accepts and closes at once, before a byte was read."""

    async def meet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if with_reset:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.close()

    server = await asyncio.start_server(meet, LOOPBACK, 0)
    async with server:
        yield url(server.sockets[0])


def url(listener: socket.socket | TransportSocket) -> str:
    return f"http://{LOOPBACK}:{listener.getsockname()[1]}"
