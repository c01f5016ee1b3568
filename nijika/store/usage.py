"""What an account has, and what it used."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg

from nijika.database import Connection, Pool, fetch, fetchrow

Unit = Literal["hour", "day", "month"]


async def account(connection: Connection, account: int) -> asyncpg.Record:
    """The balances of an account, in micro-credits."""
    row = await connection.fetchrow(
        "SELECT id, available, held, granted, spent, created_at FROM accounts WHERE id = $1", account
    )
    assert row is not None, "keys and users name existing accounts (foreign key)"
    return row


async def spent_since(connection: Connection, account: int, since: datetime) -> int:
    """What an account has spent since the day of `since`, in micro-credits."""
    spent: int = await connection.fetchval(
        """SELECT (SELECT coalesce(sum(captured), 0) FROM charges
                    WHERE account = $1 AND id >= uuid_floor(date_trunc('day', $2::timestamptz, 'UTC')))::bigint
                + (SELECT coalesce(sum(spent), 0) FROM usage_daily
                    WHERE account = $1 AND day >= ($2 AT TIME ZONE 'UTC')::date)::bigint""",
        account,
        since,
    )
    return spent


async def charge(pool: Pool, account: int, charge: UUID) -> asyncpg.Record | None:
    """One charge of this account; None if it has none of this id."""
    return await fetchrow(
        pool,
        """SELECT id, key, route, held, captured, state, status, reason, opened_at, settled_at
             FROM charges WHERE id = $1 AND account = $2""",
        charge,
        account,
    )


async def by_day(pool: Pool, account: int, days: int) -> list[asyncpg.Record]:
    """Calls and micro-credits by day (UTC) and route, the newest day first, today among `days`."""
    return await fetch(
        pool,
        """SELECT day, route, sum(captured)::bigint AS captured, sum(refunded)::bigint AS refunded,
                  sum(held)::bigint AS held, sum(spent)::bigint AS spent
             FROM (SELECT (opened_at AT TIME ZONE 'UTC')::date AS day, route,
                          count(*) FILTER (WHERE state = 'captured') AS captured,
                          count(*) FILTER (WHERE state = 'refunded') AS refunded,
                          count(*) FILTER (WHERE state = 'held') AS held,
                          sum(captured) AS spent
                     FROM charges
                    WHERE account = $1
                      AND id >= uuid_floor(date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
                                           - make_interval(days => $2 - 1))
                    GROUP BY 1, 2
                    UNION ALL
                   SELECT day, route, captured, refunded, 0, spent
                     FROM usage_daily
                    WHERE account = $1 AND day > (now() AT TIME ZONE 'UTC')::date - $2) u
            GROUP BY day, route ORDER BY day DESC, route""",
        account,
        days,
    )


async def series(pool: Pool, account: int, unit: Unit, since: datetime) -> list[asyncpg.Record]:
    """Calls and micro-credits by `unit` of time (UTC) and route, from `since`, the beginning of such a unit."""
    return await fetch(
        pool,
        """SELECT date_trunc($2, at) AS start, route, sum(captured)::bigint AS captured,
                  sum(refunded)::bigint AS refunded, sum(held)::bigint AS held, sum(spent)::bigint AS spent
             FROM (SELECT date_trunc('hour', opened_at AT TIME ZONE 'UTC') AS at, route,
                          count(*) FILTER (WHERE state = 'captured') AS captured,
                          count(*) FILTER (WHERE state = 'refunded') AS refunded,
                          count(*) FILTER (WHERE state = 'held') AS held,
                          sum(captured) AS spent
                     FROM charges WHERE account = $1 AND id >= uuid_floor($3) GROUP BY 1, 2
                    UNION ALL
                   SELECT day::timestamp, route, captured, refunded, 0, spent
                     FROM usage_daily WHERE account = $1 AND day >= ($3 AT TIME ZONE 'UTC')::date) u
            GROUP BY 1, 2 ORDER BY 1, 2""",
        account,
        unit,
        since,
    )


async def locked(connection: Connection, account: int) -> asyncpg.Record:
    """What an account has `available` and `held`, in micro-credits; it stays so until the transaction ends."""
    row = await connection.fetchrow("SELECT available, held FROM accounts WHERE id = $1 FOR NO KEY UPDATE", account)
    assert row is not None, "users name existing accounts (foreign key)"
    return row
