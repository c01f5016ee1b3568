"""The PostgreSQL of the run: one server, and a database in it for each contender that wants one."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from bench.gateway.cores import Cores, on
from nijika.local.postgres import running

T = TypeVar("T")
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_numbers = itertools.count()


@contextmanager
def postgres(folder: Path, cores: Cores) -> Iterator[str]:
    """The server that comes with nijika, as it is set up there (fsync on), but for the number of connections."""
    with ExitStack() as stack:
        with on(cores.database):
            url = stack.enter_context(running(folder, lasting=True, settings={"max_connections": "400"}))
        yield url


def fresh(server: str) -> str:
    """The URL of a new, empty database."""
    name = f"bench{next(_numbers)}"
    work(server, lambda connection: connection.execute(f"CREATE DATABASE {name}"))
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


def work(url: str, do: Callable[[Connection], Awaitable[T]]) -> T:
    """What `do` makes of a connection."""

    async def connected() -> T:
        connection = await asyncpg.connect(url)
        try:
            return await do(connection)
        finally:
            await connection.close()

    return asyncio.run(connected())
