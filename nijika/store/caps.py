"""What a key may spend in a day and in a month; the ledger counts, and decides."""

import asyncpg

from nijika.database import Connection


async def put(connection: Connection, key: int, *, day_max: int | None, month_max: int | None) -> None:
    """Cap a key, in micro-credits (None: no cap), in a transaction; what it has spent in this day and month counts."""
    if day_max is None and month_max is None:
        await connection.execute("DELETE FROM caps WHERE key = $1", key)
        return
    # The account's row is what holds and settlements of this key wait for.
    account = await connection.fetchval(
        "SELECT a.id FROM accounts a JOIN keys k ON k.account = a.id WHERE k.id = $1 FOR NO KEY UPDATE OF a", key
    )
    await connection.execute(
        """WITH now AS (SELECT clock_timestamp() AT TIME ZONE 'UTC' AS moment),
                used AS (
               SELECT coalesce(sum(amount) FILTER (WHERE day = moment::date), 0) AS day,
                      coalesce(sum(amount) FILTER (WHERE date_trunc('month', day) = date_trunc('month', moment)), 0)
                          AS month
                 FROM now, (SELECT (opened_at AT TIME ZONE 'UTC')::date AS day,
                                   CASE state WHEN 'held' THEN held ELSE captured END AS amount
                              FROM charges
                             WHERE account = $4 AND key = $1
                               AND id >= uuid_floor(date_trunc('month', now(), 'UTC') - interval '1 day')) c)
           INSERT INTO caps (key, day_max, month_max, day, day_used, month, month_used)
           SELECT $1, $2, $3, moment::date, used.day, date_trunc('month', moment)::date, used.month FROM now, used
           ON CONFLICT (key) DO UPDATE SET day_max = excluded.day_max, month_max = excluded.month_max""",
        key,
        day_max,
        month_max,
        account,
    )


async def take_over(connection: Connection, old: int, new: int) -> None:
    """Cap a new key as an old one is, with what that has spent; in a transaction that holds the account's row."""
    await connection.execute(
        """INSERT INTO caps (key, day_max, month_max, day, day_used, month, month_used)
           SELECT $2, day_max, month_max, day, day_used, month, month_used FROM caps WHERE key = $1""",
        old,
        new,
    )


async def of_key(connection: Connection, key: int) -> dict[str, int | None]:
    """The `day_max` and `month_max` of a key, in micro-credits; None: no cap."""
    row = await connection.fetchrow("SELECT day_max, month_max FROM caps WHERE key = $1", key)
    return {name: None if row is None else row[name] for name in ("day_max", "month_max")}


async def of_account(connection: Connection, account: int) -> dict[int, asyncpg.Record]:
    """The caps of an account's keys by key: `day_max` and `month_max`, in micro-credits."""
    rows = await connection.fetch(
        "SELECT c.key, c.day_max, c.month_max FROM caps c JOIN keys k ON k.id = c.key WHERE k.account = $1", account
    )
    return {row["key"]: row for row in rows}
