"""API keys as they are stored: a digest to find them, a seal to show them again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from nijika.database import Connection, Pool, fetch
from nijika.store.vault import Vault, make_key

HINT_CHARACTERS = 4


@dataclass(frozen=True)
class Key:
    """A key that may be used now; `scopes` None means every route."""

    id: int
    account: int
    scopes: frozenset[str] | None
    suspended: bool


class Living(NamedTuple):
    """A key, and for how many `seconds` more it may be used; None: until somebody says otherwise."""

    key: Key
    seconds: float | None


async def living(pool: Pool, digests: Sequence[bytes]) -> dict[bytes, Living]:
    """The living keys among those with these digests, by digest; unknown, revoked and expired ones are not among them.

    Raises what is in OUTAGE.
    """
    rows = await fetch(
        pool,
        """SELECT k.digest, k.id, k.account, k.scopes, a.suspended_at IS NOT NULL AS suspended,
                  extract(epoch FROM nullif(k.expires_at, 'infinity') - now())::float8 AS seconds
             FROM keys k JOIN accounts a ON a.id = k.account
            WHERE k.digest = ANY($1) AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())""",
        digests,
    )
    return {row["digest"]: Living(_key(row), row["seconds"]) for row in rows}


def _key(row: asyncpg.Record) -> Key:
    scopes = None if row["scopes"] is None else frozenset(row["scopes"])
    return Key(row["id"], row["account"], scopes, row["suspended"])


class Made(NamedTuple):
    """A new key: its number, and its text."""

    id: int
    text: str


async def make(
    connection: Connection,
    vault: Vault,
    *,
    account: int,
    name: str,
    scopes: Sequence[str] | None = None,
    expires_at: datetime | None = None,
    session: UUID | None = None,
) -> Made:
    """Make a key and store it; `session` is the browser's session with which it ends."""
    text = make_key()
    key = await add(
        connection,
        account=account,
        name=name,
        digest=vault.digest(text),
        sealed=vault.seal(text),
        hint=text[-HINT_CHARACTERS:],
        scopes=scopes,
        expires_at=expires_at,
        session=session,
    )
    return Made(key, text)


async def add(
    connection: Connection,
    *,
    account: int,
    name: str,
    digest: bytes,
    sealed: bytes | None,
    hint: str,
    scopes: Sequence[str] | None = None,
    expires_at: datetime | None = None,
    session: UUID | None = None,
) -> int:
    """Store a key; returns its id."""
    key: int = await connection.fetchval(
        """INSERT INTO keys (account, name, digest, sealed, hint, scopes, expires_at, session)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id""",
        account,
        name,
        digest,
        sealed,
        hint,
        scopes,
        expires_at,
        session,
    )
    return key


async def of_account(connection: Connection, account: int) -> list[asyncpg.Record]:
    """All keys of an account, the oldest first, the sealed text included."""
    return await connection.fetch(f"{_SELECT} WHERE account = $1 ORDER BY id", account)


async def lasting(connection: Connection, account: int) -> list[asyncpg.Record]:
    """The keys of an account that do not end with a browser's session, the oldest first."""
    return await connection.fetch(f"{_SELECT} WHERE account = $1 AND session IS NULL ORDER BY id", account)


async def alive(connection: Connection, account: int, key: int) -> asyncpg.Record | None:
    """The key of this id, if it is this account's and may be used now; locked until the transaction ends."""
    return await connection.fetchrow(
        f"""{_SELECT} WHERE id = $1 AND account = $2 AND revoked_at IS NULL
               AND (expires_at IS NULL OR expires_at > now()) FOR UPDATE""",
        key,
        account,
    )


async def of_session(connection: Connection, session: UUID) -> asyncpg.Record | None:
    """The key of a browser's session, expired or not; locked until the transaction ends."""
    return await connection.fetchrow(f"{_SELECT} WHERE session = $1 AND revoked_at IS NULL FOR UPDATE", session)


async def expire(connection: Connection, key: int, at: datetime) -> None:
    """Let a key live until `at`."""
    await connection.execute("UPDATE keys SET expires_at = $2 WHERE id = $1", key, at)


async def exists(connection: Connection, key: int) -> bool:
    """Whether there is a key of this id, living or not."""
    return bool(await connection.fetchval("SELECT EXISTS (SELECT 1 FROM keys WHERE id = $1)", key))


async def revoke(connection: Connection, key: int) -> bool:
    """End a key for ever; False if there is no living key of this id."""
    done = await connection.fetchval(
        "UPDATE keys SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL RETURNING true", key
    )
    return done is not None


async def forget(connection: Connection, account: int) -> None:
    """End all keys of an account for ever, and forget their texts and names."""
    await connection.execute(
        "UPDATE keys SET revoked_at = coalesce(revoked_at, now()), sealed = NULL, name = 'deleted' WHERE account = $1",
        account,
    )


_SELECT = """SELECT id, account, name, hint, sealed, scopes, expires_at, revoked_at, created_at, session FROM keys"""
