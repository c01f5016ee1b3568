"""Serve until somebody says stop."""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg

from nijika.app import build
from nijika.config import Config
from nijika.connection import Patience
from nijika.database import BOUNCED, OUTAGE, connect, unreachable
from nijika.errors import StartError
from nijika.server import GRACE_SECONDS, Listener, listening, parser_is_compiled
from nijika.standing import Standing
from nijika.state import LEASE
from nijika.store.migrate import migrate

RETIRE = signal.SIGHUP
"""Another process takes over, and nobody waits for the end of this one; or the terminal was closed."""

STOPS = {signal.SIGINT: GRACE_SECONDS, signal.SIGTERM: GRACE_SECONDS, RETIRE: 5.0}
"""The signals that end a process, and the seconds for which it still answers whoever keeps a connection alive."""

log = logging.getLogger("nijika")


async def serve(
    config: Config,
    database_url: str,
    sock: socket.socket,
    announce: Callable[[], None],
    *,
    demo_user: int | None = None,
    standing: Standing | None = None,
) -> None:
    """Serve on a bound socket; `announce` is called once calls are really accepted. Ends with one of STOPS.

    Whoever reaches the socket may sign in as `demo_user`; `standing` tells what the process knows of its gateway.

    StartError if the database is away, or if this process was declared dead by another one.
    """
    if not parser_is_compiled():
        log.warning("aiohttp runs without its C parser here; install a wheel for this platform")
    await bring_up_to_date(database_url, pgbouncer=config.database.pgbouncer)
    server = config.server
    patience = Patience(server.head_seconds, server.idle_seconds, server.write_seconds, server.drain_seconds)
    app = build(config, database_url=database_url, demo_user=demo_user, standing=standing)
    async with listening(app, sock, patience) as listener:
        gc.freeze()  # what was made until now stays, and no collection needs to look at it
        stop = _stop_signal(listener, server.drain_seconds)  # before anybody knows whom to send one
        announce()
        lease = app[LEASE]
        await _first(stop.wait(), lease.lost.wait())
        if lease.lost.is_set():
            listener.cut()
            raise StartError(
                f"This gateway gave no sign of life for more than {lease.seconds:g} s ([ledger] lease_seconds), and "
                "another one has given its open charges back. This process ends."
            )


async def bring_up_to_date(database_url: str, *, pgbouncer: bool = False) -> None:
    """Apply what is missing of the schema. StartError if the database is away."""
    try:
        connection = await connect(database_url, pgbouncer=pgbouncer)
    except (*OUTAGE, asyncpg.PostgresError) as error:
        raise unreachable(error) from None
    try:
        for name in await migrate(connection):
            log.info("applied migration %s", name)
    except (*OUTAGE, *BOUNCED) as error:
        raise unreachable(error) from None
    finally:
        await connection.close()


def address(sock: socket.socket) -> str:
    """The address of a bound socket as a URL."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _first(*works: Coroutine[Any, Any, object]) -> None:
    """Return when one of them does."""
    tasks = [asyncio.create_task(work) for work in works]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def _stop_signal(listener: Listener, drain_seconds: float) -> asyncio.Event:
    """What the first signal sets; further ones are told that it takes its time: open calls are worth money."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def hear(grace_seconds: float) -> None:
        listener.grace_seconds = grace_seconds
        stop.set()
        log.info("stopping; open calls have up to %g s to end", drain_seconds)

    for number, grace_seconds in STOPS.items():
        loop.add_signal_handler(number, hear, grace_seconds)
    return stop
