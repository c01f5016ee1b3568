"""Connections to PostgreSQL, and which of its failures are an outage."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from nijika.errors import LedgerUnavailable, StartError
from nijika.metrics.database import WAIT_SECONDS

if TYPE_CHECKING:
    # Generic in their stubs only.
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Pool, Connection = asyncpg.Pool, asyncpg.Connection

RETRY_SECONDS = 10.0
"""For this long what needs the database waits for it to come back, as after a restart."""

ACQUIRE_SECONDS = 5.0
STATEMENT_SECONDS = 5.0
# An account whose row somebody keeps locked must not take all connections with it.
LOCK_MILLISECONDS = 1000

OUTAGE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that broke in the middle of something
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby after a failover
    asyncpg.InvalidCatalogNameError,  # a restore is under way
)
"""The database is away or overwhelmed, and what was asked may or may not have happened."""


BOUNCED = (
    asyncpg.DuplicatePreparedStatementError,
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.ProtocolViolationError,
)
"""What a pgbouncer in transaction mode makes of sessions that believe that they have a server to themselves."""


def unreachable(error: BaseException) -> StartError:
    """The sentence for an operator whose database is away, or is not spoken to as it must be."""
    if isinstance(error, BOUNCED):
        return StartError(f"The database says: {error}. If it stands behind pgbouncer: [database] pgbouncer = true.")
    return StartError(f"The database cannot be reached: {str(error) or type(error).__name__}. See [database] url.")


async def open_pool(url: str, *, connections_max: int, pgbouncer: bool = False) -> Pool:
    """A pool on `url` of `connections_max`, and one more that the ledger keeps for itself.

    nijika leaves no state in a session, so none is reset between two uses. Behind `pgbouncer` in transaction mode
    nothing is prepared, and locks are waited for until the statement's time is over. Raises as `connect`.
    """
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=connections_max + 1,
        reset=_keep,
        command_timeout=30,
        timeout=10,
        **_session(pgbouncer=pgbouncer),
        server_settings=None if pgbouncer else {"lock_timeout": str(LOCK_MILLISECONDS)},
    )


async def connect(url: str, *, pgbouncer: bool = False) -> asyncpg.Connection:
    """One connection, for a command or a start. Raises what is in OUTAGE, and asyncpg.PostgresError."""
    return await asyncpg.connect(url, timeout=10, **_session(pgbouncer=pgbouncer))


def _session(*, pgbouncer: bool) -> dict[str, Any]:
    # In transaction mode the next statement may run in another session, where nothing is prepared.
    return {"statement_cache_size": 0} if pgbouncer else {}


@asynccontextmanager
async def outage_told() -> AsyncIterator[None]:
    """Whoever asks is told LedgerUnavailable when the database is away."""
    try:
        yield
    except OUTAGE as error:
        raise LedgerUnavailable from error


@asynccontextmanager
async def connected(pool: Pool) -> AsyncIterator[Connection]:
    """A connection for what needs several statements. LedgerUnavailable if the database is away, before or inside."""
    async with outage_told(), _acquired(pool) as connection:
        yield connection


async def fetch(pool: Pool, sql: str, *arguments: object) -> list[asyncpg.Record]:
    """The rows of one statement; the time to get a connection is bounded, and so is the statement's own."""
    async with _acquired(pool) as connection:
        return await connection.fetch(sql, *arguments, timeout=STATEMENT_SECONDS)


async def fetchrow(pool: Pool, sql: str, *arguments: object) -> asyncpg.Record | None:
    """The first row of one statement, bounded as `fetch`."""
    async with _acquired(pool) as connection:
        return await connection.fetchrow(sql, *arguments, timeout=STATEMENT_SECONDS)


async def fetchval(pool: Pool, sql: str, *arguments: object) -> Any:
    """The first value of the first row of one statement, bounded as `fetch`."""
    async with _acquired(pool) as connection:
        return await connection.fetchval(sql, *arguments, timeout=STATEMENT_SECONDS)


@asynccontextmanager
async def _acquired(pool: Pool) -> AsyncIterator[Connection]:
    began = time.perf_counter()
    try:
        connection = await pool.acquire(timeout=ACQUIRE_SECONDS)
    finally:
        WAIT_SECONDS.observe(time.perf_counter() - began)
    try:
        yield connection
    finally:
        await pool.release(connection)


async def _keep(_: object) -> None:
    """A reset is one more round trip a query, for nothing."""
