"""The body of a request on its way to the worker, no faster than that takes it."""

from collections.abc import AsyncIterator
from typing import Protocol

from nijika.proxy.http1.connection import Connection
from nijika.proxy.http1.failures import Broken


class Body(Protocol):
    """The body of a request."""

    @property
    def is_here(self) -> bool:
        """Whether reading it waits for nobody, and it is small."""

    def chunks(self) -> AsyncIterator[bytes]:
        """It in pieces."""


_LAST_CHUNK = b"0\r\n\r\n"


async def send(connection: Connection, body: Body, length: int | None, head: bytes = b"") -> None:
    """Send all of `body`, which is to have `length` bytes (None: in chunks), its first piece together with `head`.

    Raises Broken if it has not, ConnectionResetError, and what the body does.
    """
    left = 0 if length is None else length
    async for piece in body.chunks():
        await connection.writable()
        left -= len(piece)
        if length is not None and left < 0:
            break
        connection.write(head + (_chunk(piece) if length is None else piece))
        head = b""
    await connection.writable()
    if length is not None and left:
        raise Broken("the body to be sent has another length than its head says")
    if rest := head + (_LAST_CHUNK if length is None else b""):
        connection.write(rest)


def _chunk(piece: bytes) -> bytes:
    """An empty one would be the last."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
