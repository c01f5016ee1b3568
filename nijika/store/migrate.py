"""Bring a database to this version's schema: numbered SQL files, each once, one process at a time."""

import hashlib
from importlib import resources
from typing import NamedTuple

import asyncpg

from nijika.errors import StartError

_LOCK = 0x6E696A696B61  # "nijika"


class Migration(NamedTuple):
    """One file of `migrations/`; `digest` is the SHA-256 of its text."""

    name: str
    sql: str
    digest: str


def migrations() -> list[Migration]:
    """All migrations that this version knows, in order."""
    files = sorted(resources.files("nijika.store.migrations").iterdir(), key=lambda file: file.name)
    texts = [(file.name.removesuffix(".sql"), file.read_text()) for file in files if file.name.endswith(".sql")]
    return [Migration(name, sql, hashlib.sha256(sql.encode()).hexdigest()) for name, sql in texts]


async def migrate(connection: asyncpg.Connection) -> list[str]:
    """Apply what is missing, and return the names of that; all or nothing, so that the version before can go on.

    Other processes wait meanwhile (advisory lock). StartError if the database was made by a newer version, or by
    another text of the same migration.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations "
            "(name text PRIMARY KEY, digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        applied = {row["name"]: row["digest"] for row in await connection.fetch("SELECT name, digest FROM migrations")}
        known = migrations()
        _check(applied, known)
        missing = [migration for migration in known if migration.name not in applied]
        for migration in missing:
            await _apply(connection, migration)
        # Months go by without a new version, too.
        await connection.execute("SELECT make_partitions(now(), 3)")
        return [migration.name for migration in missing]


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    await connection.execute(migration.sql)
    await connection.execute("INSERT INTO migrations (name, digest) VALUES ($1, $2)", migration.name, migration.digest)


def _check(applied: dict[str, str], known: list[Migration]) -> None:
    digests = {migration.name: migration.digest for migration in known}
    for name, digest in applied.items():
        if name not in digests:
            raise StartError(f"The database was made by a newer nijika (migration {name}). Install that version.")
        if digests[name] != digest:
            raise StartError(f"Migration {name} of the database differs from this version's. Use the version it had.")
