"""Sessions of browsers: a cookie names a row, and whoever deletes the row has signed that browser out."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Literal
from uuid import UUID

import asyncpg

from nijika.database import Connection, Pool, fetchrow

Role = Literal["user", "moderator", "admin"]
ROLES: tuple[Role, ...] = ("user", "moderator", "admin")
"""Each role may do what the ones before it may."""

AGENT_CHARACTERS_MAX = 400


@dataclass(frozen=True)
class Life:
    """How long a session lives, in seconds: without use, and in all."""

    idle: float
    total: float


@dataclass(frozen=True)
class Visitor:
    """Somebody who is signed in; `provider` is how, and `stale` tells that the last use was noted a while ago."""

    session: UUID
    user: int
    account: int
    name: str
    role: Role
    suspended: bool
    provider: str
    stale: bool

    def may(self, role: Role) -> bool:
        """Whether this visitor has at least `role`; a suspended one has no power over others."""
        own = "user" if self.suspended else self.role
        return ROLES.index(own) >= ROLES.index(role)


async def find(pool: Pool, session: UUID, life: Life) -> Visitor | None:
    """Whose living session this is."""
    row = await fetchrow(
        pool,
        """SELECT s.id AS session, s.provider, s.seen_at < now() - interval '1 minute' AS stale,
                  u.id AS user, u.account, u.name, u.role, a.suspended_at IS NOT NULL AS suspended
             FROM sessions s JOIN users u ON u.id = s."user" JOIN accounts a ON a.id = u.account
            WHERE s.id = $1 AND s.expires_at > now() AND s.seen_at > now() - make_interval(secs => $2)""",
        session,
        life.idle,
    )
    return None if row is None else Visitor(**row)


async def begin(
    connection: Connection,
    session: UUID,
    *,
    user: int,
    provider: str,
    address: IPv4Address | IPv6Address,
    agent: str,
    life: Life,
) -> None:
    """A new session; what is dead among the user's others is removed."""
    await connection.execute(
        """DELETE FROM sessions
            WHERE "user" = $1 AND (expires_at <= now() OR seen_at <= now() - make_interval(secs => $2))""",
        user,
        life.idle,
    )
    await connection.execute(
        """INSERT INTO sessions (id, "user", provider, address, agent, expires_at)
           VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))""",
        session,
        user,
        provider,
        address,
        _plain(agent),
        life.total,
    )


async def touch(pool: Pool, session: UUID, *, address: IPv4Address | IPv6Address, agent: str) -> None:
    """Note a use, and from where."""
    await fetchrow(
        pool,
        "UPDATE sessions SET seen_at = now(), address = $2, agent = $3 WHERE id = $1",
        session,
        address,
        _plain(agent),
    )


async def of_user(connection: Connection, user: int, life: Life) -> list[asyncpg.Record]:
    """The living sessions of a user, the latest used first."""
    return await connection.fetch(
        """SELECT id, provider, host(address) AS address, agent, created_at, seen_at,
                  least(expires_at, seen_at + make_interval(secs => $2)) AS ends_at
             FROM sessions
            WHERE "user" = $1 AND expires_at > now() AND seen_at > now() - make_interval(secs => $2)
            ORDER BY seen_at DESC""",
        user,
        life.idle,
    )


async def locked(connection: Connection, session: UUID, life: Life) -> datetime | None:
    """When a session ends if it is not used again, None if it has; nobody else ends it until the transaction does."""
    ends_at: datetime | None = await connection.fetchval(
        """SELECT least(expires_at, now() + make_interval(secs => $2)) FROM sessions
            WHERE id = $1 AND expires_at > now() FOR UPDATE""",
        session,
        life.idle,
    )
    return ends_at


async def end(
    connection: Connection, user: int, *, only: UUID | None = None, but: UUID | None = None, provider: str | None = None
) -> int:
    """End sessions of a user, with the keys of their playgrounds; returns how many.

    `only` one, all `but` one, or those that came by `provider`.
    """
    async with connection.transaction():
        rows = await connection.fetch(
            """DELETE FROM sessions
                WHERE "user" = $1 AND ($2::uuid IS NULL OR id = $2) AND ($3::uuid IS NULL OR id <> $3)
                  AND ($4::text IS NULL OR provider = $4) RETURNING id""",
            user,
            only,
            but,
            provider,
        )
        # A statement of its own: it sees the key of a playground that the first one had to wait for.
        await connection.execute(
            "UPDATE keys SET revoked_at = now() WHERE session = ANY($1) AND revoked_at IS NULL",
            [row["id"] for row in rows],
        )
    return len(rows)


def _plain(agent: str) -> str:
    """A field may hold any bytes, and a text of the database may not."""
    return "".join(c if c.isprintable() else "?" for c in agent[:AGENT_CHARACTERS_MAX])


def device(agent: str) -> str:
    """Words such as "Firefox on Linux" for a User-Agent; it may claim anything."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "A browser")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return f"{browser} on {system}" if system else browser


# The order matters: most browsers claim to be others, too.
_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
