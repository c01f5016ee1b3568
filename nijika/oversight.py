"""What staff, and the operator at the command line, do to others: decided under locks, and written down with it."""

from typing import NamedTuple
from uuid import UUID

import asyncpg

from nijika import credits
from nijika.database import Connection
from nijika.errors import BadForm, LastAdmin, NotAllowed, NotFound, TooMuchCredit
from nijika.ledger import report
from nijika.ledger.grant import grant
from nijika.store import audit, users
from nijika.store.sessions import ROLES, Role
from nijika.webhooks import news


class Adjusted(NamedTuple):
    """What is available now, in micro-credits; `again` tells that this was done before, and not repeated."""

    available: int
    again: bool


async def set_suspended(
    connection: Connection, *, actor: int | None, user: int, suspended: bool, reason: str | None = None
) -> None:
    """Refuse all keys of a user's account, or let them in again. `actor` None is the operator; NotFound, NotAllowed."""
    async with connection.transaction():
        _, subject = await _parties(connection, actor, user, least="moderator")
        if actor == user:
            raise NotAllowed("You cannot suspend or resume your own account.")
        before = subject["suspended_at"] is not None
        if before == suspended:
            return
        await users.suspend(connection, subject["account"], suspended=suspended)
        await audit.note(
            connection,
            "suspended" if suspended else "resumed",
            actor=actor,
            subject=user,
            before={"suspended": before},
            after={"suspended": suspended},
            reason=reason,
        )


async def set_role(
    connection: Connection, *, actor: int | None, user: int, role: Role, reason: str | None = None
) -> None:
    """Give a user another role. LastAdmin if nobody would be left who may do everything; NotFound, NotAllowed."""
    async with connection.transaction():
        people, subject = await _parties(connection, actor, user, least="admin")
        if subject["role"] == role:
            return
        others = [person for id, person in people.items() if id != user]  # noqa: A001 (the column's name)
        if _power(subject) == "admin" and not any(_power(person) == "admin" for person in others):
            raise LastAdmin
        await users.set_role(connection, user, role)
        await audit.note(
            connection,
            "role changed",
            actor=actor,
            subject=user,
            before={"role": subject["role"]},
            after={"role": role},
            reason=reason,
        )


async def adjust(
    connection: Connection, *, id: UUID, actor: int | None, user: int, amount: int, reason: str
) -> Adjusted:
    """Give `amount` micro-credits, or take them if it is negative; once per `id`, which becomes the journal's.

    BelowZero, TooMuchCredit, NotFound, NotAllowed; BadForm if `id` stands for something else.
    """
    try:
        async with connection.transaction():
            _, subject = await _parties(connection, actor, user, least="admin")
            available = await grant(connection, id, subject["account"], amount, reason)
            await news.adjusted(connection, subject["account"], id, amount, reason)
            await audit.note(
                connection,
                "credits given" if amount > 0 else "credits taken",
                actor=actor,
                subject=user,
                before={"available": credits.show(available - amount)},
                after={"available": credits.show(available)},
                reason=reason,
            )
    except asyncpg.UniqueViolationError:
        return await _done_before(connection, id, user, amount)
    except asyncpg.NumericValueOutOfRangeError:
        raise TooMuchCredit from None
    return Adjusted(available, again=False)


async def _done_before(connection: Connection, id: UUID, user: int, amount: int) -> Adjusted:
    """A form that was sent twice is fine; one that was changed before it was sent again is not."""
    subject = await users.one(connection, user)
    if subject is None:
        raise NotFound
    done = [(entry["kind"], entry["account"], entry["available"]) for entry in await report.entries(connection, id)]
    if ("grant", subject["account"], amount) not in done:
        raise BadForm(
            "This form was sent before, with something else in it. Nothing was changed now; please send it anew."
        )
    return Adjusted(subject["available"], again=True)


async def _parties(
    connection: Connection, actor: int | None, user: int, *, least: Role
) -> tuple[dict[int, asyncpg.Record], asyncpg.Record]:
    """Everybody whom it concerns, and the user; what actor and user may be is read under locks that last."""
    people = await users.locked(connection, *{user, user if actor is None else actor})
    if actor is not None:
        power = _power(people[actor]) if actor in people else "user"
        if ROLES.index(power) < ROLES.index(least):
            raise NotAllowed
        if user in people and ROLES.index(people[user]["role"]) > ROLES.index(power):
            raise NotAllowed("This account's role is higher than yours.")
    if user not in people:
        raise NotFound
    return people, people[user]


def _power(person: asyncpg.Record) -> Role:
    """The role that counts: a suspended account has no power over others."""
    role: Role = person["role"]
    return "user" if person["suspended_at"] is not None else role
