"""Months that are over leave the tables; their sums stay, so that the money still adds up."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import asyncpg

from nijika.database import Connection
from nijika.errors import CommandError

SETTLING = timedelta(days=2)
"""A month is left alone for this long after its end: idempotency keys still look back into it."""

DETACH_TRIES = 10


async def archive(connection: Connection, before: date) -> list[str]:
    """Archive each month before `before` (the first of a month); returns those months, such as "2026-01".

    One month a transaction; not inside of another one. Gateways go on meanwhile, and wait for a moment only.
    CommandError if `before` is too late, or if a charge of such a month is still open.
    """
    latest = (datetime.now(UTC) - SETTLING).date().replace(day=1)
    if before > latest:
        raise CommandError(f"Only months before {latest:%Y-%m} are over for long enough to be archived.")
    months = [month for month in await _months(connection) if month < before]
    for month in months:
        await _seal(connection, month)
        await _put_away(connection, month)
    return [f"{month:%Y-%m}" for month in months]


async def _months(connection: Connection) -> list[date]:
    rows = await connection.fetch(
        """SELECT to_date(substring(c.relname FROM 'charges_(\\d{4}_\\d{2})$'), 'YYYY_MM') AS month
             FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = 'charges'::regclass AND c.relname ~ '^charges_\\d{4}_\\d{2}$' ORDER BY 1"""
    )
    return [row["month"] for row in rows]


async def _seal(connection: Connection, month: date) -> None:
    """From here on nothing changes in the month, so that its sums can be made without a lock."""
    await _refuse_open(connection, month)
    for table in _tables(month):
        await _patiently(
            connection,
            f"CREATE OR REPLACE TRIGGER sealed BEFORE INSERT OR UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_archived()",
        )
    try:
        await _refuse_open(connection, month)
    except CommandError:
        for table in _tables(month):
            await _patiently(connection, f"DROP TRIGGER sealed ON {table}")
        raise


async def _refuse_open(connection: Connection, month: date) -> None:
    charges, _ = _tables(month)
    count = await connection.fetchval(f"SELECT count(*) FROM {charges} WHERE settled_at IS NULL")  # noqa: S608 (ours)
    if count:
        raise CommandError(f"{count} charges of {month:%Y-%m} are still open; `nijika ledger stuck` shows them.")


async def _put_away(connection: Connection, month: date) -> None:
    charges, journal = _tables(month)
    async with connection.transaction():
        await connection.execute(
            f"""INSERT INTO usage_daily AS u (account, day, route, captured, refunded, spent)
                SELECT account, (opened_at AT TIME ZONE 'UTC')::date, route,
                       count(*) FILTER (WHERE state = 'captured'), count(*) FILTER (WHERE state = 'refunded'),
                       sum(captured)
                  FROM {charges} GROUP BY 1, 2, 3
                ON CONFLICT (account, day, route) DO UPDATE
                   SET captured = u.captured + excluded.captured, refunded = u.refunded + excluded.refunded,
                       spent = u.spent + excluded.spent"""  # noqa: S608 (a name of ours)
        )
        await connection.execute(
            f"""INSERT INTO journal_monthly (account, month, available, granted, spent)
                SELECT account, $1, sum(available), sum(granted), sum(spent) FROM {journal} GROUP BY account""",  # noqa: S608
            month,
        )
        # Both or none: whoever has one of them must not make the gateways wait for the other.
        await _patiently(connection, "LOCK TABLE charges, journal IN ACCESS EXCLUSIVE MODE")
        for parent, table in (("charges", charges), ("journal", journal)):
            await connection.execute(f"ALTER TABLE {parent} DETACH PARTITION {table}")
            await connection.execute(f"ALTER TABLE {table} SET SCHEMA archive")
            await connection.execute(f"DROP TRIGGER sealed ON archive.{table}")


async def _patiently(connection: Connection, sql: str) -> None:
    """Change a table without making the gateways wait behind us for long."""
    for _ in range(DETACH_TRIES):
        try:
            async with connection.transaction():
                await connection.execute("SET LOCAL lock_timeout = '500ms'")
                await connection.execute(sql)
        except asyncpg.LockNotAvailableError:
            await asyncio.sleep(1)
        else:
            return
    raise CommandError("The tables are too busy to be changed; try again at a quieter time. Nothing is lost.")


def _tables(month: date) -> tuple[str, str]:
    return f"charges_{month:%Y_%m}", f"journal_{month:%Y_%m}"
