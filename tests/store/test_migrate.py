"""An empty database becomes this version's, once; a strange one is left alone."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from nijika import request_id
from nijika.database import Connection
from nijika.errors import StartError
from nijika.ledger import Hold, Ledger, Settlement
from nijika.ledger.grant import grant
from nijika.ledger.lease import Lease
from nijika.ledger.verify import verify
from nijika.store import users
from nijika.store.migrate import migrate, migrations
from tests.conftest import named

ROOT = Path(__file__).parents[2]
MIGRATE = """
import asyncio, sys, asyncpg
from nijika.store.migrate import migrate
async def main():
    connection = await asyncpg.connect(sys.argv[1])
    sys.stdin.readline()
    print(*await migrate(connection))
    await connection.close()
asyncio.run(main())
"""
NAMES = [migration.name for migration in migrations()]
FOREIGN = UUID("fffffff0-0000-7000-8000-000000000001")  # a clock of the year 10000 and beyond


@pytest.fixture
async def empty(cluster: str) -> AsyncIterator[str]:
    """A database without any table; gives its URL."""
    server = await asyncpg.connect(cluster)
    await server.execute("CREATE DATABASE empty")
    yield named(cluster, "empty")
    await server.execute("DROP DATABASE empty WITH (FORCE)")
    await server.close()


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a migrated database."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def test_of_processes_at_once_one_migrates_and_the_others_find_it_done(empty: str) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            MIGRATE,
            empty,
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]

    outputs = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))

    assert sorted(output.decode().split() for output, _ in outputs) == [[], [], NAMES]
    assert [process.returncode for process in processes] == [0, 0, 0]


async def test_a_second_run_does_nothing(connection: asyncpg.Connection) -> None:
    before = await _schema(connection)

    applied = await migrate(connection)

    assert applied == []
    assert await _schema(connection) == before


async def test_migrations_are_applied_in_order_each_once(empty: str) -> None:
    connection = await asyncpg.connect(empty)

    applied = await migrate(connection)
    rows = await connection.fetch("SELECT name, digest FROM migrations ORDER BY applied_at, name")
    await connection.close()

    assert applied == NAMES == sorted(NAMES)
    assert [tuple(row) for row in rows] == [(migration.name, migration.digest) for migration in migrations()]


async def test_a_failed_upgrade_leaves_the_version_before_and_no_lock(empty: str) -> None:
    connection = await asyncpg.connect(empty)
    await connection.execute("CREATE TABLE keys ()")  # in the way of the second file

    with pytest.raises(asyncpg.DuplicateTableError):
        await migrate(connection)
    await connection.execute("DROP TABLE keys")
    other = await asyncpg.connect(empty)
    applied = await migrate(other)

    assert applied == NAMES
    await connection.close()
    await other.close()


async def test_a_newer_database_is_refused_with_a_sentence(connection: asyncpg.Connection) -> None:
    await connection.execute("INSERT INTO migrations (name, digest) VALUES ('9999_future', 'x')")

    with pytest.raises(StartError, match=r"made by a newer nijika \(migration 9999_future\)\. Install that version\."):
        await migrate(connection)


async def test_a_changed_migration_is_refused_with_a_sentence(connection: asyncpg.Connection) -> None:
    await connection.execute("UPDATE migrations SET digest = 'another' WHERE name = $1", NAMES[0])

    with pytest.raises(StartError, match=f"Migration {NAMES[0]} of the database differs"):
        await migrate(connection)


async def test_after_a_refusal_others_need_not_wait_for_the_lock(connection: asyncpg.Connection, database: str) -> None:
    await connection.execute("INSERT INTO migrations (name, digest) VALUES ('9999_future', 'x')")
    with pytest.raises(StartError):
        await migrate(connection)
    await connection.execute("DELETE FROM migrations WHERE name = '9999_future'")
    other = await asyncpg.connect(database)

    async with asyncio.timeout(10):
        applied = await migrate(other)

    assert applied == []
    await other.close()


async def test_there_are_partitions_for_this_month_and_three_more(
    connection: asyncpg.Connection,
) -> None:
    moment = await connection.fetchval("SELECT now()")

    partitions = {
        row["name"] for row in await connection.fetch("SELECT relname AS name FROM pg_class WHERE relispartition")
    }

    tables = {name for name in partitions if not name.endswith(("_pkey", "_idx"))}
    months = [_months_later(moment.astimezone(UTC), later) for later in range(4)]
    expected = {f"{parent}_{month:%Y_%m}" for parent in ("charges", "journal") for month in months}
    assert tables == expected | {"charges_other", "journal_other"}


async def test_each_id_lands_in_the_month_that_it_was_made_in(connection: asyncpg.Connection) -> None:
    moments = ["now()"] + [
        f"(date_trunc('month', now() AT TIME ZONE 'UTC') + interval '{span}') AT TIME ZONE 'UTC'"
        for span in (
            "0",
            "1 month - 1 millisecond",
            "1 month",
            "3 months",
            "4 months - 1 millisecond",
            "4 months",
            "-1 second",
        )
    ]
    _, account = await users.add(connection, name="u", email=None, role="user")

    homes = []
    for moment in moments:
        moment_id = await connection.fetchval(f"SELECT uuid_floor({moment})")
        await grant(connection, moment_id, account, 1, "test")
        home = await connection.fetchval("SELECT tableoid::regclass::text FROM journal WHERE id = $1", moment_id)
        homes.append(home.removeprefix("journal_"))

    now = (await connection.fetchval("SELECT now()")).astimezone(UTC)
    months = [0, 0, 0, 1, 3, 3]
    assert homes == [f"{_months_later(now, later):%Y_%m}" for later in months] + ["other", "other"]


async def test_a_call_with_an_id_of_a_far_off_clock_is_charged_all_the_same(
    connection: asyncpg.Connection, database: str
) -> None:
    _, account = await users.add(connection, name="u", email=None, role="user")
    await grant(connection, request_id.make(), account, 5, "test")
    async with asyncpg.create_pool(database, min_size=1) as pool, Lease(pool, 30) as lease:
        ledger = Ledger(pool, lease.id)

        await ledger.hold(Hold(FOREIGN, account, 1, "/x", 2, 60))
        left = await ledger.settle(Settlement(FOREIGN, account, 2, 200))
        await ledger.close()

    assert left == 3
    assert await connection.fetchval("SELECT tableoid::regclass::text FROM charges") == "charges_other"
    assert not any((await verify(connection)).values())


async def test_when_the_month_of_such_an_id_comes_the_database_can_still_be_brought_up_to_date(
    connection: asyncpg.Connection,
) -> None:
    """A gateway that runs for months, or whose clock is off, must not stop the next start."""
    _, account = await users.add(connection, name="u", email=None, role="user")
    far = await connection.fetchval("SELECT uuid_floor(now() + interval '160 days')")
    await grant(connection, far, account, 5, "test")

    await connection.execute("SELECT make_partitions(now() + interval '160 days', 3)")

    assert await connection.fetchval("SELECT available FROM journal WHERE id = $1", far) == 5
    assert not any((await verify(connection)).values())


async def _schema(connection: Connection) -> list[tuple[object, ...]]:
    rows = await connection.fetch(
        "SELECT c.relname, a.attname, a.atttypid FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
        "WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1, 2"
    )
    return [tuple(row.values()) for row in rows]


def _months_later(moment: datetime, months: int) -> datetime:
    years, month = divmod(moment.month - 1 + months, 12)
    return moment.replace(year=moment.year + years, month=month + 1, day=1)
