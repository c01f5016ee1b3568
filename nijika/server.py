"""The listening socket, and a server whose connections are ours."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress

from aiohttp import web
from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy
from aiohttp.web_protocol import RequestHandler

from nijika.access import AccessLog
from nijika.connection import Connection, Patience
from nijika.errors import StartError
from nijika.logs import Malformed
from nijika.proxy.connection import reset
from nijika.proxy.upstream import READ_BYTES
from nijika.state import STANDING

BACKLOG = 1024
UNSENT_BYTES = 131_072
"""The kernel keeps this much for a caller beyond what is on its way: who does not read must not hold megabytes."""
POLL_SECONDS = 0.02
GRACE_SECONDS = 1.0
"""Whoever keeps a connection alive may learn within this that it ends, instead of losing a request."""
LINGERING_SECONDS = 1.5  # an upload that was refused is read and thrown away this long, so that the answer arrives


@asynccontextmanager
async def listening(app: web.Application, sock: socket.socket, patience: Patience) -> AsyncIterator["Listener"]:
    """Serve `app` on a bound socket during the block; at its end, open requests have `drain` seconds. StartError.

    Before connections without a request are closed, their next answers say so for the Listener's `grace_seconds`.
    """
    runner = _Runner(
        app,
        patience,
        access_log_class=AccessLog,
        auto_decompress=False,
        keepalive_timeout=patience.idle,
        lingering_time=LINGERING_SECONDS,
        shutdown_timeout=patience.drain,
        read_bufsize=READ_BYTES,
    )
    try:
        await runner.setup()
        try:
            await web.SockSite(runner, sock, backlog=BACKLOG).start()
        except OSError as error:
            # Two may be bound to one port, as long as neither listens.
            host, port = sock.getsockname()[:2]
            raise _cannot_listen(host, port, error) from None
        listener = Listener(runner)
        try:
            yield listener
        finally:
            app[STANDING].retires = True
            await runner.retire(min(listener.grace_seconds, patience.drain))
    finally:
        await runner.cleanup()


class Listener:
    """A socket that is being served."""

    def __init__(self, runner: "_Runner") -> None:
        self.grace_seconds = GRACE_SECONDS
        self._runner = runner

    def cut(self) -> None:
        """Reset every connection, and give open requests no more time: nobody may get a result from here."""
        self._runner.give_up()
        assert self._runner.server is not None, "the block runs while it serves"
        for connection in self._runner.server.connections:
            if connection.transport is not None:
                reset(connection.transport)


def parser_is_compiled() -> bool:
    """Whether aiohttp's C parser is in use; the Python one is slow, and less tried."""
    return HttpRequestParser is not HttpRequestParserPy


@contextmanager
def shared(host: str, port: int, count: int) -> Iterator[list[socket.socket]]:
    """`count` sockets on one port (0 chooses one), among which the kernel spreads callers; StartError as `bind`."""
    with bind(host, port) as alone:
        if count == 1:
            yield [alone]
            return
        port = alone.getsockname()[1]  # nobody else has it: who shares a port is let in beside all who do
    with ExitStack() as stack:
        yield [stack.enter_context(bind(host, port, shares=True)) for _ in range(count)]


def bind(host: str, port: int, *, shares: bool = False) -> socket.socket:
    """A socket that has the port (0 chooses one) but does not listen yet; StartError if the port is busy."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise StartError(f'nijika cannot listen on "{host}": {error.strerror}.') from None
    sock = socket.socket(family, kind, protocol)
    try:
        # Connections of an earlier run that linger (TIME_WAIT) are no reason to refuse; whoever listens is.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # connections inherit it
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise _cannot_listen(host, port, error) from None
    return sock


def _cannot_listen(host: str, port: int, error: OSError) -> StartError:
    return StartError(
        f"nijika cannot listen on {host}:{port}: {error.strerror}. Stop what is using it, or choose another port."
    )


class _Runner(web.AppRunner):
    """An AppRunner whose connections are ours."""

    __slots__ = ("_patience",)

    def __init__(self, app: web.Application, patience: Patience, **settings: object) -> None:
        super().__init__(app, **settings)  # type: ignore[arg-type] # aiohttp passes them on as they are
        self._patience = patience

    def give_up(self) -> None:
        """Wait for no request that is still open."""
        self._shutdown_timeout = 0.0

    async def retire(self, seconds: float) -> None:
        """Accept no more; return when nobody is connected, or after `seconds` of the time to drain."""
        for site in list(self.sites):
            await site.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.server is not None and self.server.connections:
                    await asyncio.sleep(POLL_SECONDS)
        self._shutdown_timeout = max(0.0, self._shutdown_timeout - seconds)

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(server, self._patience)


class _Server(web.Server):
    """aiohttp's server, making our connections in place of its own."""

    def __init__(self, made: web.Server, patience: Patience) -> None:
        settings = made._kwargs  # noqa: SLF001 (there is no other way to an own RequestHandler)
        super().__init__(made.request_handler, request_factory=made.request_factory, **settings)
        self._patience = patience
        self._malformed = Malformed()

    def __call__(self) -> RequestHandler:
        return Connection(self, self._loop, self._kwargs, self._patience, self._malformed)
