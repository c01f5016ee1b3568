"""What an account has, and what it used."""

from uuid import UUID

import asyncpg

from nijika.database import Pool, fetch, fetchrow


async def account(pool: Pool, account: int) -> asyncpg.Record:
    """The balances of an account, in micro-credits."""
    row = await fetchrow(
        pool,
        "SELECT id, available, held, granted, spent, created_at FROM accounts WHERE id = $1",
        account,
    )
    assert row is not None, "keys name existing accounts (foreign key)"
    return row


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
