"""How a connection comes about: names are looked up, addresses raced, certificates verified.

Source: RFC 8305 (Happy Eyeballs).
"""

import asyncio
import functools
import socket
import ssl

from aiohappyeyeballs import start_connection

from nijika.proxy.http1.address import Address
from nijika.proxy.http1.connection import Connection
from nijika.proxy.http1.failures import Unreachable

EYEBALLS_SECONDS = 0.25
"""After this an address that does not answer is raced by the next one."""


async def connected(address: Address, seconds: float, among: set[Connection]) -> Connection:
    """A new connection, which is in `among` while it is open. Raises Unreachable, also after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            return await _connected(address, among)
    except TimeoutError as error:  # the system's own one is an OSError, too
        raise Unreachable(f"{address} cannot be reached within {seconds:g} s", hangs=True) from error
    except (OSError, ssl.CertificateError) as error:
        raise Unreachable(f"{address} cannot be reached: {error}") from error


async def _connected(address: Address, among: set[Connection]) -> Connection:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    sock = await start_connection(found, happy_eyeballs_delay=EYEBALLS_SECONDS, interleave=1, loop=loop)
    connection = Connection(among)
    try:
        await loop.create_connection(
            lambda: connection,
            sock=sock,
            ssl=_verifying() if address.is_secure else None,
            server_hostname=address.host if address.is_secure else None,
        )
    except BaseException:
        if connection in among:  # uvloop never tells it of its end, if it is cancelled in the turn in which it was made
            connection.abort()
            among.discard(connection)
        sock.close()
        raise
    return connection


@functools.cache
def _verifying() -> ssl.SSLContext:
    """The certificates that this machine trusts."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
