"""Whom a sign-in lets in: the account that knows the identity, the one that it is linked to, or a new one."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import asyncpg

from nijika import request_id
from nijika.database import Connection
from nijika.errors import AccountTooYoung, IdentityTaken, ProviderLinkedAlready, UnlinkedBefore
from nijika.ledger.grant import grant
from nijika.login.identity import Identity, is_old_enough
from nijika.store import audit, identities, keys, users
from nijika.store.vault import Vault

TRIES = 3

How = Literal["known", "linked", "e-mail", "new"]


@dataclass(frozen=True)
class Terms:
    """What a new account gets: `bonus` in micro-credits, and perhaps the first role of admin."""

    bonus: int
    first_user_is_admin: bool


@dataclass(frozen=True)
class Admission:
    """The user who is let in, and how that came."""

    user: int
    how: How


async def admit(
    connection: Connection, identity: Identity, *, linking: int | None, terms: Terms, vault: Vault
) -> Admission:
    """Find, link or make the account of an identity; `linking` is the user who asked for a link.

    AccountTooYoung, IdentityTaken, ProviderLinkedAlready or UnlinkedBefore if it may not be. The identity, and its
    user, stay as they are until the transaction around this ends.
    """
    for _ in range(TRIES):
        try:
            async with connection.transaction():
                return await _admit(connection, identity, linking, terms, vault)
        except (asyncpg.UniqueViolationError, _GoneError):
            continue  # somebody with the same e-mail was faster, or the account was deleted in this moment
    raise IdentityTaken


class _GoneError(Exception):
    """The user was deleted meanwhile."""


async def _admit(
    connection: Connection, identity: Identity, linking: int | None, terms: Terms, vault: Vault
) -> Admission:
    await identities.lock(connection, identity.issuer, identity.subject)
    known = await identities.find(connection, identity.issuer, identity.subject)
    if known is not None:
        if linking is not None and known["user"] != linking:
            raise IdentityTaken
        await _hold(connection, known["user"])
        await identities.used(connection, identity.issuer, identity.subject, identity.login)
        await users.refresh_email(connection, known["user"], identity.email, identity.issuer)
        return Admission(known["user"], "known")
    if not is_old_enough(identity.created_at, datetime.now(UTC)):
        raise AccountTooYoung
    if linking is not None:
        await _link(connection, identity, linking, "link")
        return Admission(linking, "linked")
    holder = None if identity.email is None else await users.by_email(connection, identity.email)
    if holder is not None:
        await _link(connection, identity, holder, "e-mail")
        return Admission(holder, "e-mail")
    return Admission(await _register(connection, identity, terms, vault), "new")


async def _link(connection: Connection, identity: Identity, user: int, how: str) -> None:
    """One identity of each host; a second one never takes the place of the first, and an unlinked one asks first."""
    await _hold(connection, user)
    linked = {row["issuer"]: row["login"] for row in await identities.of_user(connection, user)}
    if identity.issuer in linked:
        raise ProviderLinkedAlready(linked[identity.issuer])
    if how == "e-mail" and await identities.was_unlinked(connection, user, identity.issuer, identity.subject):
        raise UnlinkedBefore
    await _add(connection, identity, user, how)
    await users.refresh_email(connection, user, identity.email, identity.issuer)
    after = {"provider": identity.provider, "by": how}
    await audit.note(connection, "identity linked", actor=user, subject=user, after=after)


async def _register(connection: Connection, identity: Identity, terms: Terms, vault: Vault) -> int:
    role = "admin" if terms.first_user_is_admin and await users.is_first(connection) else "user"
    user, account = await users.add(
        connection, name=identity.name, email=identity.email, role=role, email_issuer=identity.issuer
    )
    await _add(connection, identity, user, "sign-up")
    given = terms.bonus if await identities.first_bonus(connection, identity.issuer, identity.subject) else 0
    if given:
        await grant(connection, request_id.make(), account, given, "signup")
    await keys.make(connection, vault, account=account, name="first key")
    after = {"provider": identity.provider, "role": role}
    await audit.note(connection, "signed up", actor=user, subject=user, after=after)
    return user


async def _hold(connection: Connection, user: int) -> None:
    if not await users.stays(connection, user):
        raise _GoneError


async def _add(connection: Connection, identity: Identity, user: int, linked_by: str) -> None:
    await identities.add(
        connection,
        user=user,
        provider=identity.provider,
        issuer=identity.issuer,
        subject=identity.subject,
        login=identity.login,
        linked_by=linked_by,
    )
