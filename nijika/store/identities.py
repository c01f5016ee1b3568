"""With what a user signs in: an identity is a provider's host and its immutable number for somebody."""

import asyncpg

from nijika.database import Connection


async def lock(connection: Connection, issuer: str, subject: str) -> None:
    """Nobody else signs in with this identity until the transaction ends; one that is not there yet counts, too."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{issuer} {subject}")


async def find(connection: Connection, issuer: str, subject: str) -> asyncpg.Record | None:
    """The identity, with its `user`."""
    return await connection.fetchrow(
        'SELECT "user", provider, login FROM identities WHERE issuer = $1 AND subject = $2', issuer, subject
    )


async def add(
    connection: Connection, *, user: int, provider: str, issuer: str, subject: str, login: str, linked_by: str
) -> None:
    """Link an identity to a user. UniqueViolationError if it is linked, or if the user has one of this host.

    One that was linked by its e-mail is to be confirmed by the user.
    """
    await connection.execute(
        """INSERT INTO identities (issuer, subject, provider, "user", login, linked_by, confirmed_at)
           VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $6 <> 'e-mail' THEN now() END)""",
        issuer,
        subject,
        provider,
        user,
        login,
        linked_by,
    )
    await connection.execute(
        'DELETE FROM unlinked WHERE issuer = $1 AND subject = $2 AND "user" = $3', issuer, subject, user
    )


async def used(connection: Connection, issuer: str, subject: str, login: str) -> None:
    """Note a sign-in; logins change, numbers do not."""
    await connection.execute(
        "UPDATE identities SET used_at = now(), login = $3 WHERE issuer = $1 AND subject = $2", issuer, subject, login
    )


async def of_user(connection: Connection, user: int) -> list[asyncpg.Record]:
    """The identities of a user, the oldest first."""
    return await connection.fetch(
        """SELECT provider, issuer, subject, login, linked_by, linked_at, used_at, confirmed_at
             FROM identities WHERE "user" = $1 ORDER BY linked_at, provider""",
        user,
    )


async def confirm(connection: Connection, user: int, *, but: str) -> None:
    """The user has seen, and approves, what was linked by e-mail; whoever came in by provider `but` cannot say so."""
    await connection.execute(
        """UPDATE identities SET confirmed_at = now()
            WHERE "user" = $1 AND confirmed_at IS NULL AND provider <> $2""",
        user,
        but,
    )


async def remove(connection: Connection, user: int, issuer: str) -> asyncpg.Record | None:
    """Unlink the identity at `issuer`, in a transaction; None if it is the last one, or not there.

    It does not come back by its e-mail, and an e-mail that was its word leads to this user no more.
    """
    await connection.execute('SELECT 1 FROM identities WHERE "user" = $1 ORDER BY issuer FOR UPDATE', user)
    gone = await connection.fetchrow(
        """DELETE FROM identities WHERE "user" = $1 AND issuer = $2
              AND (SELECT count(*) FROM identities WHERE "user" = $1) > 1 RETURNING subject, provider, login""",
        user,
        issuer,
    )
    if gone is None:
        return None
    await connection.execute(
        'INSERT INTO unlinked (issuer, subject, "user") VALUES ($1, $2, $3) ON CONFLICT DO NOTHING',
        issuer,
        gone["subject"],
        user,
    )
    await connection.execute(
        "UPDATE users SET email = NULL, email_issuer = NULL WHERE id = $1 AND email_issuer = $2", user, issuer
    )
    return gone


async def was_unlinked(connection: Connection, user: int, issuer: str, subject: str) -> bool:
    """Whether this user has unlinked this identity."""
    row = await connection.fetchval(
        'SELECT true FROM unlinked WHERE issuer = $1 AND subject = $2 AND "user" = $3', issuer, subject, user
    )
    return row is not None


async def first_bonus(connection: Connection, issuer: str, subject: str) -> bool:
    """Whether this identity never had a signup bonus; from now on it had."""
    row = await connection.fetchrow(
        "INSERT INTO signup_bonuses (issuer, subject) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true",
        issuer,
        subject,
    )
    return row is not None


async def spend_state(connection: Connection, digest: bytes) -> bool:
    """Whether a sign-in's state comes back for the first time; those of more than a day ago are forgotten."""
    await connection.execute("DELETE FROM spent_states WHERE spent_at < now() - interval '1 day'")
    row = await connection.fetchrow(
        "INSERT INTO spent_states (digest) VALUES ($1) ON CONFLICT DO NOTHING RETURNING true", digest
    )
    return row is not None
