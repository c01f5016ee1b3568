"""The account's keys: make, show, rotate, cap and revoke them."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import asyncpg
from aiohttp import web

from nijika.database import Connection, connected
from nijika.errors import BadForm, NotFound, NotSignedIn, Suspended
from nijika.module import FREE, Route
from nijika.pages import cookie, form, words
from nijika.pages.form import Form
from nijika.pages.render import page
from nijika.state import MATCH, POOL, ROUTES, VAULT, VISITOR
from nijika.store import audit, caps, keys, usage, users
from nijika.store.sessions import Visitor

PATH = "/dashboard/keys"
KEYS_MAX = 1000  # revoked ones included
LIVES = {"": "never", "7": "in 7 days", "30": "in 30 days", "90": "in 90 days", "365": "in a year"}
OVERLAPS = {"0": "at once", "1": "in an hour", "24": "in a day", "168": "in a week"}


def routes() -> Iterable[Route]:
    """The list, and a form for each thing that can be done."""
    yield Route(("GET",), PATH, _list, FREE, who="user")
    yield form.post(PATH, _make, who="user")
    for name, answer in (("reveal", _reveal), ("rotate", _rotate), ("cap", _cap), ("revoke", _revoke)):
        yield form.post(f"{PATH}/{{id}}/{name}", answer, who="user")


async def _list(request: web.Request) -> web.Response:
    return await _shown(request)


async def _shown(
    request: web.Request,
    *,
    status: int = 200,
    revealed: int | None = None,
    mistake: str = "",
    fields: Form | None = None,
) -> web.Response:
    visitor = request[VISITOR]
    async with connected(request.app[POOL]) as connection:
        rows = await keys.lasting(connection, visitor.account)
        bounds = await caps.of_account(connection, visitor.account)
    now = datetime.now(UTC)
    alive = [
        row for row in rows if row["revoked_at"] is None and (row["expires_at"] is None or row["expires_at"] > now)
    ]
    return page(
        request,
        "dashboard/keys.html",
        status=status,
        alive=list(reversed(alive)),
        dead=[row for row in reversed(rows) if row not in alive],
        caps=bounds,
        scopes=_scopes(request),
        revealed=revealed,
        texts={
            row["id"]: request.app[VAULT].open(row["sealed"])
            for row in alive
            if row["id"] == revealed and row["sealed"]
        },
        lives=LIVES,
        overlaps=OVERLAPS,
        mistake=mistake,
        fields=fields or Form(),
    )


async def _make(request: web.Request, fields: Form) -> web.StreamResponse:
    """A mistake shows the form again, as it was filled in."""
    visitor = request[VISITOR]
    if visitor.suspended:
        raise Suspended
    try:
        name = form.text(fields, "name", label="The name")
        scopes = _chosen(request, fields)
        day_max, month_max = (form.amount(fields, f"{period}_max", label="A cap") for period in ("day", "month"))
        expires_at = _end(fields.get("life", ""))
    except BadForm as mistake:
        return await _shown(request, status=mistake.status, mistake=str(mistake), fields=fields)
    async with connected(request.app[POOL]) as connection, connection.transaction():
        await _check_room(connection, visitor)
        made = await keys.make(
            connection, request.app[VAULT], account=visitor.account, name=name, scopes=scopes, expires_at=expires_at
        )
        await caps.put(connection, made.id, day_max=day_max, month_max=month_max)
        await _note(connection, request, "key made", made.id)
    await cookie.leave_notice(request, f"“{name}” is made: …{made.text[-4:]}. Reveal it below whenever you need it.")
    return form.back(PATH)


async def _reveal(request: web.Request, _: Form) -> web.StreamResponse:
    async with connected(request.app[POOL]) as connection, connection.transaction():
        row = await _own(connection, request)
        if row["sealed"] is None or request.app[VAULT].open(row["sealed"]) is None:
            raise BadForm("This key cannot be shown again. Make a new one in its place.")
    return await _shown(request, revealed=row["id"])


async def _rotate(request: web.Request, fields: Form) -> web.StreamResponse:
    """A new key takes over name, scopes, end and caps; the old one goes on for the overlap."""
    if request[VISITOR].suspended:
        raise Suspended
    overlap = fields.get("overlap", "")
    if overlap not in OVERLAPS:
        raise BadForm("Choose when the old key ends.")
    async with connected(request.app[POOL]) as connection, connection.transaction():
        await _check_room(connection, request[VISITOR])
        old = await _own(connection, request)
        made = await keys.make(
            connection,
            request.app[VAULT],
            account=old["account"],
            name=old["name"],
            scopes=old["scopes"],
            expires_at=old["expires_at"],
        )
        await usage.locked(connection, old["account"])
        await caps.take_over(connection, old["id"], made.id)
        if overlap == "0":
            await keys.revoke(connection, old["id"])
        else:
            end = datetime.now(UTC) + timedelta(hours=int(overlap))
            await keys.expire(connection, old["id"], min(end, old["expires_at"] or end))
        await _note(connection, request, "key rotated", old["id"])
    await cookie.leave_notice(
        request, f"“{old['name']}” has a new key: …{made.text[-4:]}. The old one ends {OVERLAPS[overlap]}."
    )
    return form.back(PATH)


async def _cap(request: web.Request, fields: Form) -> web.StreamResponse:
    day_max, month_max = (form.amount(fields, f"{period}_max", label="A cap") for period in ("day", "month"))
    async with connected(request.app[POOL]) as connection, connection.transaction():
        row = await _own(connection, request)
        await caps.put(connection, row["id"], day_max=day_max, month_max=month_max)
        await _note(connection, request, "key capped", row["id"])
    await cookie.leave_notice(request, f"The caps of “{row['name']}” are set.")
    return form.back(PATH)


async def _revoke(request: web.Request, _: Form) -> web.StreamResponse:
    async with connected(request.app[POOL]) as connection, connection.transaction():
        row = await _own(connection, request)
        await keys.revoke(connection, row["id"])
        await _note(connection, request, "key revoked", row["id"])
    await cookie.leave_notice(request, f"“{row['name']}” is revoked; no call gets through with it any more.")
    return form.back(PATH)


async def _own(connection: Connection, request: web.Request) -> asyncpg.Record:
    """The living key that the path names, of this account; whoever asks for another's learns nothing."""
    number = words.row_number(request[MATCH].variables["id"])
    row = None if number is None else await keys.alive(connection, request[VISITOR].account, number)
    if row is None or row["session"] is not None:
        raise NotFound
    return row


async def _check_room(connection: Connection, visitor: Visitor) -> None:
    """The account is there, and stays so until the key is made; and it has not too many."""
    if not await users.stays(connection, visitor.user):
        raise NotSignedIn
    if len(await keys.lasting(connection, visitor.account)) >= KEYS_MAX:
        raise BadForm(f"An account has at most {KEYS_MAX} keys, revoked ones included.")


async def _note(connection: Connection, request: web.Request, action: str, key: int) -> None:
    """By number: what stands in the audit table stays there, and names are the holder's own."""
    user = request[VISITOR].user
    await audit.note(connection, action, actor=user, subject=user, after={"key": key})


def _scopes(request: web.Request) -> list[str]:
    """The routes that a key can be for."""
    return sorted({route.name for route in request.app[ROUTES] if route.needs_key})


def _chosen(request: web.Request, fields: Form) -> list[str] | None:
    scopes = fields.getall("scope", [])
    if set(scopes) - set(_scopes(request)):
        raise BadForm("One of the chosen routes does not exist any more. Choose again.")
    return scopes or None


def _end(life: str) -> datetime | None:
    if life not in LIVES:
        raise BadForm("Choose when the key ends.")
    return datetime.now(UTC) + timedelta(days=int(life)) if life else None
