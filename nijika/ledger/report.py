"""What an operator asks: which charges are open, what happened to this one, how it goes, and who works on it."""

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


async def oldest_open(connection: Connection, limit: int) -> list[asyncpg.Record]:
    """The oldest open charges, as `stuck`, and the `user` who pays; none is looked for below the sweeper's floor."""
    return await connection.fetch(
        f"""SELECT {_CHARGE}, extract(epoch FROM clock_timestamp() - c.opened_at)::float8 AS age_seconds, {_OWNER},
                   (SELECT min(u.id) FROM users u WHERE u.account = c.account) AS user
              FROM charges c LEFT JOIN instances i ON i.id = c.owner
             WHERE c.id >= (SELECT floor FROM sweeps) AND c.settled_at IS NULL ORDER BY c.id LIMIT $1""",  # noqa: S608 (constants)
        limit,
    )


async def totals(connection: Connection) -> dict[str, int]:
    """All accounts together, in micro-credits: `available`, `held`, `spent`, `granted`."""
    row = await connection.fetchrow(
        """SELECT coalesce(sum(available), 0) AS available, coalesce(sum(held), 0) AS held,
                  coalesce(sum(spent), 0) AS spent, coalesce(sum(granted), 0) AS granted FROM accounts"""
    )
    assert row is not None, "an aggregate has one row"
    return {name: int(amount) for name, amount in row.items()}


async def lately(connection: Connection, limit: int) -> list[asyncpg.Record]:
    """The charges of the last 24 hours, `limit` of them at most, the latest: how many `calls` by `state` and `reason`.

    `seconds` are the median and the 95th percentile of the time until they were settled.
    """
    return await connection.fetch(
        """WITH latest AS (
               SELECT state, reason, opened_at, settled_at FROM charges
                WHERE id >= uuid_floor(now() - interval '24 hours') ORDER BY id DESC LIMIT $1)
           SELECT state, reason, count(*) AS calls,
                  percentile_cont(ARRAY[0.5, 0.95])
                      WITHIN GROUP (ORDER BY extract(epoch FROM settled_at - opened_at)::float8) AS seconds
             FROM latest GROUP BY state, reason ORDER BY count(*) DESC, reason""",
        limit,
    )


async def gateways(connection: Connection) -> list[asyncpg.Record]:
    """The processes that were not declared dead: `alive`, or `silent` for longer than their lease."""
    return await connection.fetch(
        """SELECT host, pid, started_at, extract(epoch FROM clock_timestamp() - beat_at)::float8 AS silent_seconds,
                  CASE WHEN beat_at < clock_timestamp() - lease_seconds * interval '1 second' THEN 'silent'
                       ELSE 'alive' END AS state
             FROM instances WHERE dead_at IS NULL ORDER BY started_at"""
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
