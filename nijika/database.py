"""Connections to PostgreSQL, and which of its failures are an outage."""

from typing import TYPE_CHECKING, TypeAlias

import asyncpg

if TYPE_CHECKING:
    # Generic in their stubs only.
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Pool, Connection = asyncpg.Pool, asyncpg.Connection

ACQUIRE_SECONDS = 5.0

OUTAGE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that broke in the middle of something
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
)
"""The database is away or overwhelmed, and what was asked may or may not have happened."""


async def open_pool(url: str, *, connections_max: int) -> Pool:
    """A pool on `url`; nijika leaves no state in a session, so none is reset between two uses."""
    return await asyncpg.create_pool(
        url, min_size=1, max_size=connections_max, reset=_keep, command_timeout=30, timeout=10
    )


async def _keep(_: object) -> None:
    """A reset is one more round trip a query, for nothing."""
