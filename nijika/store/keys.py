"""API keys as they are stored: a digest to find them, a seal to show them again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from nijika.database import Connection, Pool, fetchrow


@dataclass(frozen=True)
class Key:
    """A key that may be used now; `scopes` None means every route."""

    id: int
    account: int
    scopes: frozenset[str] | None
    suspended: bool


async def find(pool: Pool, digests: Sequence[bytes]) -> Key | None:
    """The living key with one of these digests; None if it is unknown, revoked or expired."""
    row = await fetchrow(
        pool,
        """SELECT k.id, k.account, k.scopes, a.suspended_at IS NOT NULL AS suspended
             FROM keys k JOIN accounts a ON a.id = k.account
            WHERE k.digest = ANY($1) AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())""",
        digests,
    )
    if row is None:
        return None
    scopes = None if row["scopes"] is None else frozenset(row["scopes"])
    return Key(row["id"], row["account"], scopes, row["suspended"])


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
) -> int:
    """Store a key; returns its id."""
    key: int = await connection.fetchval(
        """INSERT INTO keys (account, name, digest, sealed, hint, scopes, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id""",
        account,
        name,
        digest,
        sealed,
        hint,
        scopes,
        expires_at,
    )
    return key


async def of_account(connection: Connection, account: int) -> list[asyncpg.Record]:
    """All keys of an account, the oldest first, the sealed text included."""
    return await connection.fetch(
        """SELECT id, name, hint, sealed, scopes, expires_at, revoked_at, created_at
             FROM keys WHERE account = $1 ORDER BY id""",
        account,
    )


async def exists(connection: Connection, key: int) -> bool:
    """Whether there is a key of this id, living or not."""
    return bool(await connection.fetchval("SELECT EXISTS (SELECT 1 FROM keys WHERE id = $1)", key))


async def revoke(connection: Connection, key: int) -> bool:
    """End a key for ever; False if there is no living key of this id."""
    done = await connection.fetchval(
        "UPDATE keys SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL RETURNING true", key
    )
    return done is not None
