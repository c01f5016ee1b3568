"""The connections to one address: kept for a while after use, and never shared."""

import asyncio
from collections import deque
from collections.abc import Mapping

from nijika.proxy.http1.address import Address
from nijika.proxy.http1.connection import Connection
from nijika.proxy.http1.exchange import Exchange
from nijika.proxy.http1.opening import connected
from nijika.proxy.http1.request import written
from nijika.proxy.http1.upload import Body

KEEP_ALIVE_SECONDS = 4.0
"""Shorter than the keep-alive of common servers (uvicorn: 5 s), so that a call is not lost on a connection which
the worker is just closing: what was sent is never sent again."""


class Pool:
    """Asks what is at `base`; opening a connection takes `connect_seconds` at the most."""

    def __init__(self, base: str, connect_seconds: float) -> None:
        self.address = Address.of(base)
        self._connect_seconds = connect_seconds
        self._open: set[Connection] = set()
        self._idle: deque[tuple[float, Connection]] = deque()  # by the time until which they are kept
        self._sweeper: asyncio.TimerHandle | None = None

    async def ask(self, method: str, target: str, fields: Mapping[str, str], body: Body | None = None) -> Exchange:
        """The answer to a request, which the caller has to close; `target` is path and query in wire form.

        Raises Unreachable: then nothing was sent, and nothing read of `body`; Broken; ConnectionResetError; ValueError
        for what cannot be written.
        """
        request = written(method, target, self.address, fields, has_body=body is not None)
        connection = self._take() or await connected(self.address, self._connect_seconds, self._open)
        exchange = Exchange(connection, request, self._keep)
        try:
            await exchange.begin(body)
        except BaseException:
            exchange.close()
            raise
        return exchange

    async def close(self) -> None:
        """Close all connections, whoever uses them."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._open):
            connection.abort()
        while self._open:
            await asyncio.sleep(0)

    def _take(self) -> Connection | None:
        """The one that was used last, if it can be used once more."""
        while self._idle:
            _, connection = self._idle.pop()
            if connection.is_fit:
                return connection
            connection.abort()
        return None

    def _keep(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        self._idle.append((loop.time() + KEEP_ALIVE_SECONDS, connection))
        if self._sweeper is None:
            self._sweeper = loop.call_later(KEEP_ALIVE_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Close those whose time is over, and come again when it is over for the next one."""
        loop = asyncio.get_running_loop()
        self._sweeper = None
        while self._idle and self._idle[0][0] <= loop.time():
            self._idle.popleft()[1].abort()
        if self._idle:
            self._sweeper = loop.call_at(self._idle[0][0], self._sweep)
