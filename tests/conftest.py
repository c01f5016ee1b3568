"""One PostgreSQL for the whole run, one database for each test, and a gateway with a faulty worker behind it."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from nijika.local.postgres import running
from nijika.store import keyring
from nijika.store.migrate import migrate
from tests.gateway import Customer, Gateway, configuration, loaded, serving, upstream_table
from tests.peers.upstream import Upstream

pytest_plugins = ["tests.providers.fixtures", "tests.redis"]

Start = Callable[[str], AbstractAsyncContextManager[Gateway]]

# What is tested is nijika, not the disk; the tests of PostgreSQL itself keep fsync on.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

_numbers = itertools.count()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--operations", type=int, default=10_000, help="orders of the ledger's model test")
    parser.addoption("--examples", type=int, default=40, help="ways in which schemathesis makes each call")
    parser.addoption("--all-vectors", action="store_true", help="all neural tests, also those that take minutes")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL with a migrated database `template`; gives its URL."""
    with running(tmp_path_factory.mktemp("cluster"), lasting=True, settings=FAST) as url:
        asyncio.run(_make_template(url))
        yield url


@pytest.fixture
def database(cluster: str) -> Iterator[str]:
    """A migrated database of its own; gives its URL."""
    name = f"test{next(_numbers)}"
    asyncio.run(_execute(cluster, f"CREATE DATABASE {name} TEMPLATE template"))
    yield named(cluster, name)
    asyncio.run(_execute(cluster, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def start(database: str, tmp_path: Path) -> Start:
    """Starts a gateway from the text of a config.toml."""
    return lambda text: serving(loaded(tmp_path, text), database)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """The worker, which does what the test plans."""
    async with Upstream.start() as upstream:
        yield upstream


@pytest.fixture
async def gateway(start: Start, upstream: Upstream) -> AsyncIterator[Gateway]:
    """A gateway with `POST /api/removebg` for 1 credit and `/free/*` for none, both on the upstream."""
    async with start(configuration(upstream_table(upstream.url))) as gateway:
        yield gateway


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who needs the database gives up soon; how long it would be is told elsewhere."""
    monkeypatch.setattr(keyring, "RETRY_SECONDS", 0.3)


@pytest.fixture
async def customer(gateway: Gateway) -> Customer:
    """A customer with 100 credits."""
    return await gateway.customer()


def named(url: str, database: str) -> str:
    """The URL of another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


async def _make_template(url: str) -> None:
    await _execute(url, "CREATE DATABASE template")
    connection = await asyncpg.connect(named(url, "template"))
    await migrate(connection)
    await connection.close()


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(sql)
    await connection.close()
