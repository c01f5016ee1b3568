"""A connection without a network, so that a test decides how the bytes of an answer are split."""

import asyncio
import socket
from contextlib import closing
from typing import Any

from nijika.proxy.http1.connection import Connection
from nijika.proxy.http1.exchange import Exchange
from nijika.proxy.http1.failures import Broken
from nijika.proxy.http1.request import Written

Outcome = tuple[object, ...]
"""What came of an exchange: status, fields, body and whether the connection is used again; or that it broke."""


class Transport(asyncio.Transport):
    """Takes everything, and tells what was asked of it."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self._sock = sock
        self.is_reading_paused = False
        self._is_closing = False
        self.written: list[bytes] = []

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._sock if name == "socket" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self._is_closing

    def pause_reading(self) -> None:
        self.is_reading_paused = True

    def resume_reading(self) -> None:
        self.is_reading_paused = False

    def abort(self) -> None:
        self._is_closing = True


async def outcome(segments: list[bytes], method: str = "GET") -> Outcome:
    """What comes of an answer in these segments, behind which the worker closes."""
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        again: list[Connection] = []
        connection = Connection(set())
        connection.connection_made(Transport(ours))
        exchange = Exchange(connection, Written(method, "http://x/", b"", None), again.append)
        beginning = asyncio.create_task(exchange.begin(None))
        await asyncio.sleep(0)
        for segment in segments:
            connection.data_received(segment)
        was_free = bool(again)
        connection.eof_received()
        try:
            await beginning
            body = await _body(exchange)
        except Broken:
            assert not again
            return ("broken",)
        finally:
            exchange.close()
        return exchange.status, tuple(exchange.headers.items()), body, was_free and connection.is_fit


async def _body(exchange: Exchange) -> bytes:
    whole = b""
    while piece := await exchange.content.readany():
        whole += piece
    return whole
