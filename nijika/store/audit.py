"""Who did what to whom; rows are only added."""

import json
from collections.abc import Mapping

import asyncpg

from nijika.database import Connection


async def note(
    connection: Connection,
    action: str,
    *,
    actor: int | None,
    subject: int | None,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    reason: str | None = None,
) -> None:
    """Write down an action, in the transaction that does it. `actor` None is the operator at the command line."""
    await connection.execute(
        "INSERT INTO audit (actor, subject, action, before, after, reason) VALUES ($1, $2, $3, $4, $5, $6)",
        actor,
        subject,
        action,
        None if before is None else json.dumps(before),
        None if after is None else json.dumps(after),
        reason,
    )


async def about(
    connection: Connection, user: int, *, before: int | None = None, limit: int = 20
) -> list[asyncpg.Record]:
    """The actions on a user, the latest first, from the one before id `before`."""
    return await connection.fetch(
        f"{_SELECT} WHERE a.subject = $1 AND ($2::bigint IS NULL OR a.id < $2) ORDER BY a.id DESC LIMIT $3",
        user,
        before,
        limit,
    )


async def page(connection: Connection, *, before: int | None, limit: int) -> list[asyncpg.Record]:
    """All actions, the latest first, from the one before id `before`."""
    return await connection.fetch(
        f"{_SELECT} WHERE $1::bigint IS NULL OR a.id < $1 ORDER BY a.id DESC LIMIT $2", before, limit
    )


_SELECT = """SELECT a.id, a.at, a.actor, actor.name AS actor_name, a.subject, subject.name AS subject_name,
                    a.action, a.before, a.after, a.reason
               FROM audit a
               LEFT JOIN users actor ON actor.id = a.actor LEFT JOIN users subject ON subject.id = a.subject"""
