"""Users, and the accounts that hold their credit."""

import asyncpg

from nijika.database import Connection


async def add(connection: Connection, *, name: str, email: str | None, role: str) -> tuple[int, int]:
    """A user with an account of its own; returns (user, account). UniqueViolationError if the e-mail is taken."""
    account: int = await connection.fetchval("INSERT INTO accounts DEFAULT VALUES RETURNING id")
    user: int = await connection.fetchval(
        "INSERT INTO users (account, name, email, role) VALUES ($1, $2, $3, $4) RETURNING id",
        account,
        name,
        email,
        role,
    )
    return user, account


async def find(connection: Connection, who: str) -> list[asyncpg.Record]:
    """Users with this id, e-mail or name, in any case of letters."""
    return await connection.fetch(
        _SELECT + " WHERE u.id::text = $1 OR lower(u.email) = lower($1) OR lower(u.name) = lower($1) ORDER BY u.id", who
    )


async def everyone(connection: Connection) -> list[asyncpg.Record]:
    """All users with their balances."""
    return await connection.fetch(_SELECT + " ORDER BY u.id")


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
