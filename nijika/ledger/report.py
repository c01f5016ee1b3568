"""What an operator asks about single charges: which are open, and what happened to this one."""

from uuid import UUID

import asyncpg

from nijika.database import Connection


async def stuck(connection: Connection) -> list[asyncpg.Record]:
    """All open charges, the oldest first, with their age in seconds and the process that owns them."""
    return await connection.fetch(
        f"""SELECT {_CHARGE}, extract(epoch FROM clock_timestamp() - c.opened_at)::float8 AS age_seconds, {_OWNER}
              FROM charges c LEFT JOIN instances i ON i.id = c.owner
             WHERE c.settled_at IS NULL ORDER BY c.id"""  # noqa: S608 (constants)
    )


async def charge(connection: Connection, id: UUID) -> asyncpg.Record | None:
    """One charge with its owner; None if there is none, or if its month is archived."""
    return await connection.fetchrow(
        f"""SELECT {_CHARGE}, c.captured, c.state, c.status, c.reason, c.settled_at, c.idempotency_key, {_OWNER}
              FROM charges c LEFT JOIN instances i ON i.id = c.owner WHERE c.id = $1""",  # noqa: S608 (constants)
        id,
    )


async def entries(connection: Connection, id: UUID) -> list[asyncpg.Record]:
    """The journal's entries of one charge or grant."""
    return await connection.fetch(
        """SELECT step, kind, account, available, held, granted, spent, reason, at
             FROM journal WHERE id = $1 ORDER BY step""",
        id,
    )


_CHARGE = "c.id, c.account, c.key, c.route, c.held, c.opened_at, c.deadline"
_OWNER = """coalesce(i.host || ' ' || i.pid, '-') AS owner,
            CASE WHEN i.id IS NULL OR i.dead_at IS NOT NULL THEN 'dead'
                 WHEN i.beat_at < clock_timestamp() - i.lease_seconds * interval '1 second' THEN 'silent'
                 ELSE 'alive' END AS owner_state"""
