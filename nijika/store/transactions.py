"""What changed an account's credit: its charges, and what the operator gave or took; the latest first."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from uuid import UUID

import asyncpg

from nijika.database import Connection, Pool, connected

Kind = Literal["captured", "refunded", "held", "grant"]
KINDS: tuple[Kind, ...] = ("captured", "refunded", "held", "grant")

LAST = UUID(int=2**128 - 1)
BATCH = 1000


@dataclass(frozen=True)
class Filter:
    """Which transactions; None is all of them. Days are whole ones in UTC, both included."""

    kind: Kind | None = None
    route: str | None = None
    key: int | None = None
    since: date | None = None
    until: date | None = None


async def page(
    connection: Connection, account: int, which: Filter, *, before: UUID | None = None, limit: int
) -> list[asyncpg.Record]:
    """At most `limit` transactions, the latest first, from the one before id `before`.

    `change` is what it did to the credit (micro-credits; 0 for a refund), `held` what was set aside meanwhile.
    """
    return await connection.fetch(
        """SELECT t.*, k.name AS key_name, k.hint
             FROM ((SELECT id, state AS kind, route, key, status, reason, held,
                           CASE state WHEN 'captured' THEN -captured WHEN 'held' THEN -held ELSE 0 END AS change,
                           opened_at AS at, settled_at
                      FROM charges
                     WHERE account = $1 AND id < $2 AND id >= uuid_floor($3) AND id < uuid_floor($4)
                       AND ($5::text IS NULL OR state = $5) AND ($6::text IS NULL OR route = $6)
                       AND ($7::bigint IS NULL OR key = $7)
                     ORDER BY id DESC LIMIT $8)
                    UNION ALL
                   (SELECT id, kind, NULL, NULL, NULL, reason, 0, available, at, at
                      FROM journal
                     WHERE account = $1 AND id < $2 AND id >= uuid_floor($3) AND id < uuid_floor($4)
                       AND kind = 'grant' AND ($5::text IS NULL OR $5 = 'grant')
                       AND $6::text IS NULL AND $7::bigint IS NULL
                     ORDER BY id DESC LIMIT $8)) t
             LEFT JOIN keys k ON k.id = t.key
            ORDER BY t.id DESC LIMIT $8""",
        account,
        before or LAST,
        _midnight(which.since or date(1970, 1, 1)),
        _midnight((which.until or date(9000, 1, 1)) + timedelta(days=1)),
        which.kind,
        which.route,
        which.key,
        limit,
    )


async def everything(pool: Pool, account: int, which: Filter) -> AsyncIterator[asyncpg.Record]:
    """All of them, the latest first; a connection is taken for each batch of them, and given back before it is used."""
    before: UUID | None = None
    while True:
        async with connected(pool) as connection:
            rows = await page(connection, account, which, before=before, limit=BATCH)
        if not rows:
            return
        for row in rows:
            yield row
        before = rows[-1]["id"]


async def routes(connection: Connection, account: int) -> list[str]:
    """The routes that an account has called, by name, as far as its latest 10,000 charges tell."""
    rows = await connection.fetch(
        """SELECT route FROM (SELECT route FROM charges WHERE account = $1 ORDER BY id DESC LIMIT 10000) c
            UNION SELECT route FROM usage_daily WHERE account = $1 ORDER BY 1""",
        account,
    )
    return [row["route"] for row in rows]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
