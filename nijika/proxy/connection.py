"""A caller's connection: is it closed, and how is it ended so that nobody takes a broken answer for a whole one."""

import asyncio
import socket
import struct

from aiohttp import web

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def has_left(request: web.Request) -> bool:
    """Whether the caller has closed the connection by now."""
    return request.transport is None or request.transport.is_closing()


def cut(request: web.Request) -> None:
    """Reset the caller's connection; what was not sent yet is dropped."""
    if request.transport is not None:
        reset(request.transport)


def reset(transport: asyncio.Transport) -> None:
    """Close with RST: a FIN would look like the end of a body that has no length.

    Not to be called after its connection_lost: the number of its socket may be another one's by then.
    """
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
