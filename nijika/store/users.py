"""Users, and the accounts that hold their credit. A user's e-mail is always one that somebody has vouched for."""

import re

import asyncpg

from nijika.database import Connection
from nijika.store.sessions import Role


async def add(
    connection: Connection, *, name: str, email: str | None, role: str, email_issuer: str | None = None
) -> tuple[int, int]:
    """A user with an account of its own; returns (user, account). UniqueViolationError if the e-mail is taken.

    `email_issuer` is the host that has verified the e-mail; None: the operator's word.
    """
    account: int = await connection.fetchval("INSERT INTO accounts DEFAULT VALUES RETURNING id")
    user: int = await connection.fetchval(
        "INSERT INTO users (account, name, email, role, email_issuer) VALUES ($1, $2, $3, $4, $5) RETURNING id",
        account,
        name,
        email,
        role,
        email_issuer,
    )
    return user, account


async def find(connection: Connection, who: str) -> list[asyncpg.Record]:
    """Users with this id, e-mail or name, in any case of letters; a number is an id, whoever is called so."""
    if who.isdigit():
        return await connection.fetch(f"{_SELECT} WHERE u.id::text = $1", who)
    return await connection.fetch(
        f"""{_SELECT} WHERE lower(u.email COLLATE "C") = lower($1 COLLATE "C") OR lower(u.name) = lower($1)
             ORDER BY u.id""",
        who,
    )


async def named(connection: Connection, name: str) -> int | None:
    """The first user of a name who signs in by no provider."""
    user: int | None = await connection.fetchval(
        """SELECT u.id FROM users u
            WHERE name = $1 AND NOT EXISTS (SELECT 1 FROM identities i WHERE i."user" = u.id) ORDER BY id LIMIT 1""",
        name,
    )
    return user


async def one(connection: Connection, user: int) -> asyncpg.Record | None:
    """The user of this id."""
    return await connection.fetchrow(f"{_SELECT} WHERE u.id = $1", user)


async def of_account(connection: Connection, account: int) -> asyncpg.Record | None:
    """The user whose account this is; None after the user was deleted."""
    return await connection.fetchrow(f"{_SELECT} WHERE u.account = $1", account)


async def locked(connection: Connection, *ids: int) -> dict[int, asyncpg.Record]:
    """Users by id, and with them every admin; nobody else changes roles or suspends until the transaction ends."""
    # The rows alone are not enough: somebody may become admin while the first of them is waited for.
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('nijika roles'))")
    await connection.execute("SELECT 1 FROM users WHERE role = 'admin' OR id = ANY($1) ORDER BY id FOR UPDATE", ids)
    rows = await connection.fetch(f"{_SELECT} WHERE u.role = 'admin' OR u.id = ANY($1)", ids)
    return {row["id"]: row for row in rows}


async def stays(connection: Connection, user: int) -> bool:
    """Whether a user is there; if so, nobody deletes it until the transaction ends."""
    return bool(await connection.fetchval("SELECT true FROM users WHERE id = $1 FOR KEY SHARE", user))


async def by_email(connection: Connection, email: str) -> int | None:
    """The user who holds an e-mail; the letters A to Z are the same in both cases, and nothing else is."""
    user: int | None = await connection.fetchval(
        """SELECT id FROM users WHERE lower(email COLLATE "C") = lower($1 COLLATE "C")""", email
    )
    return user


async def is_first(connection: Connection) -> bool:
    """Whether there is no user at all; if so, nobody else becomes one until the transaction ends."""
    if await connection.fetchval("SELECT EXISTS (SELECT 1 FROM users)"):
        return False
    await connection.execute("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE")
    return not await connection.fetchval("SELECT EXISTS (SELECT 1 FROM users)")


async def refresh_email(connection: Connection, user: int, email: str | None, issuer: str) -> None:
    """What `issuer` says now takes the place of what it said before, or of nothing; somebody else's is nobody's."""
    await connection.execute(
        """UPDATE users SET email = e.email, email_issuer = CASE WHEN e.email IS NOT NULL THEN $3 END
             FROM (SELECT CASE WHEN NOT EXISTS (
                              SELECT 1 FROM users
                               WHERE id <> $1 AND lower(email COLLATE "C") = lower($2 COLLATE "C"))
                          THEN $2::text END AS email) e
            WHERE id = $1 AND (users.email IS NULL OR email_issuer = $3)""",
        user,
        email,
        issuer,
    )


async def set_role(connection: Connection, user: int, role: Role) -> None:
    """Give a user another role."""
    await connection.execute("UPDATE users SET role = $2 WHERE id = $1", user, role)


async def delete(connection: Connection, user: int) -> None:
    """Remove a user with identities and sessions; the account and its charges stay, because money must add up."""
    await connection.execute("DELETE FROM users WHERE id = $1", user)


async def search(connection: Connection, text: str, *, before: int | None = None, limit: int) -> list[asyncpg.Record]:
    """Users whose id, name, e-mail or identity holds `text`, the newest first, from the one before id `before`."""
    pattern = "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"
    return await connection.fetch(
        f"""{_SELECT}
             WHERE ($2::bigint IS NULL OR u.id < $2)
               AND ($3 = '' OR u.id::text = $3 OR u.name ILIKE $1 OR u.email ILIKE $1
                    OR EXISTS (SELECT 1 FROM identities i
                                WHERE i."user" = u.id AND (i.login ILIKE $1 OR i.subject = $3)))
             ORDER BY u.id DESC LIMIT $4""",  # noqa: S608 (constants)
        pattern,
        before,
        text,
        limit,
    )


async def everyone(connection: Connection) -> list[asyncpg.Record]:
    """All users with their balances."""
    return await connection.fetch(_SELECT + " ORDER BY u.id")


async def counts(connection: Connection) -> asyncpg.Record:
    """How many users there are: `everyone`, `new` within 30 days, `suspended`."""
    row = await connection.fetchrow(
        """SELECT count(*) AS everyone, count(*) FILTER (WHERE u.created_at > now() - interval '30 days') AS new,
                  count(*) FILTER (WHERE a.suspended_at IS NOT NULL) AS suspended
             FROM users u JOIN accounts a ON a.id = u.account"""
    )
    assert row is not None, "an aggregate has one row"
    return row


async def suspend(connection: Connection, account: int, *, suspended: bool) -> None:
    """Refuse all keys of an account, or let them in again."""
    await connection.execute(
        "UPDATE accounts SET suspended_at = CASE WHEN $2 THEN coalesce(suspended_at, now()) END WHERE id = $1",
        account,
        suspended,
    )


_SELECT = """SELECT u.id, u.name, u.email, u.role, u.account, u.created_at, a.suspended_at,
                    a.available, a.held, a.granted, a.spent
               FROM users u JOIN accounts a ON a.id = u.account"""
