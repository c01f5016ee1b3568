"""Everything about one user, and the forms to act on it."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import asyncpg
from aiohttp import web

from nijika import request_id
from nijika.database import Connection, connected
from nijika.errors import NotFound, Problem
from nijika.module import FREE, Route
from nijika.pages import words
from nijika.pages.consumption import RESULTS, SPANS, Consumption
from nijika.pages.form import Form
from nijika.pages.render import page
from nijika.state import MATCH, POOL, SESSION_LIFE, VISITOR
from nijika.store import audit, caps, identities, keys, sessions, transactions, users, webhooks
from nijika.store.sessions import ROLES
from nijika.store.transactions import Filter

PATH = "/staff/users/{id}"
RECENT = 20


def routes() -> Iterable[Route]:
    """`/staff/users/{id}`."""
    yield Route(("GET",), PATH, shown, FREE, who="moderator")


def named(request: web.Request) -> int:
    """The user whom the path names; NotFound if it names none."""
    user = words.row_number(request[MATCH].variables["id"])
    if user is None:
        raise NotFound
    return user


async def shown(request: web.Request, *, mistake: Problem | None = None, fields: Form | None = None) -> web.Response:
    """The page of the user whom the path names; after a `mistake` with what was filled in."""
    async with connected(request.app[POOL]) as connection:
        user = await users.one(connection, named(request))
        if user is None:
            raise NotFound
        holdings = await _holdings(connection, user)
        doings = await _doings(connection, request, user)
    used = await Consumption.of(request.app[POOL], user["account"], SPANS["30d"])
    return page(
        request,
        "staff/user.html",
        status=200 if mistake is None else mistake.status,
        user=user,
        **holdings,
        **doings,
        used=used,
        results=RESULTS,
        roles=ROLES,
        is_higher=ROLES.index(user["role"]) > ROLES.index(request[VISITOR].role),
        once=request_id.make(),
        mistake=mistake,
        fields=fields or Form(),
        visible=words.visible,
    )


async def _holdings(connection: Connection, user: asyncpg.Record) -> dict[str, Any]:
    """What a user has; of a key its end, and never its text."""
    members = ("id", "name", "hint", "scopes", "expires_at", "revoked_at", "created_at", "session")
    own = await keys.of_account(connection, user["account"])
    return {
        "identities": await identities.of_user(connection, user["id"]),
        "keys": [{name: key[name] for name in members} for key in reversed(own)],
        "caps": await caps.of_account(connection, user["account"]),
        "webhooks": await webhooks.counts(connection, user["account"]),
        "now": datetime.now(UTC),
    }


async def _doings(connection: Connection, request: web.Request, user: asyncpg.Record) -> dict[str, Any]:
    """What a user did, and what was done to it."""
    return {
        "recent": await transactions.page(connection, user["account"], Filter(), limit=RECENT),
        "sessions": len(await sessions.of_user(connection, user["id"], request.app[SESSION_LIFE])),
        "actions": [
            {**row, "changes": words.changes(row["before"], row["after"])}
            for row in await audit.about(connection, user["id"])
        ],
    }
