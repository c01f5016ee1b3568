"""How one signs in: linked identities, sessions, what happened to the account, and its end."""

from collections.abc import Iterable
from uuid import UUID

from aiohttp import web

from nijika import credits, request_id
from nijika.database import Connection, connected
from nijika.errors import BadForm, LastAdmin, LastIdentity, NotFound, NotSignedIn, Suspended
from nijika.ledger.grant import grant
from nijika.module import FREE, Route
from nijika.pages import cookie, form, words
from nijika.pages.form import Form
from nijika.pages.paging import paged
from nijika.pages.render import page
from nijika.state import DEMO_USER, MATCH, POOL, SESSION_LIFE, SIGN_IN, VISITOR
from nijika.store import audit, identities, keys, sessions, usage, users, webhooks
from nijika.store.sessions import Visitor, device

PATH = "/dashboard/account"
GONE_PATH = "/"
HAPPENED = 20


def routes() -> Iterable[Route]:
    """The page, and a form for each thing that can be done."""
    yield Route(("GET",), PATH, _account, FREE, who="user")
    yield form.post(f"{PATH}/confirm", _confirm, who="user")
    yield form.post(f"{PATH}/unlink", _unlink, who="user")
    yield form.post(f"{PATH}/sessions/end-others", _end_others, who="user")
    yield form.post(f"{PATH}/sessions/{{id}}/end", _end_session, who="user")
    yield form.post(f"{PATH}/delete", _delete, who="user")


async def _account(request: web.Request) -> web.Response:
    visitor = request[VISITOR]
    async with connected(request.app[POOL]) as connection:
        linked = await identities.of_user(connection, visitor.user)
        living = await sessions.of_user(connection, visitor.user, request.app[SESSION_LIFE])
        rows = await audit.about(
            connection, visitor.user, before=words.row_number(request.query.get("before", "")), limit=HAPPENED + 1
        )
        user = await users.one(connection, visitor.user)
    happened = [{**row, "changes": words.changes(row["before"], row["after"])} for row in rows]
    providers = request.app[SIGN_IN].providers
    return page(
        request,
        "dashboard/account.html",
        user=user,
        providers=providers,
        linked=linked,
        missing=[
            provider for provider in providers.values() if provider.issuer not in {row["issuer"] for row in linked}
        ],
        sessions=living,
        device=device,
        happened=paged(happened, PATH, request.query, cursor="id", limit=HAPPENED),
        is_demo=request.app.get(DEMO_USER) == visitor.user,
    )


async def _confirm(request: web.Request, _: Form) -> web.StreamResponse:
    async with connected(request.app[POOL]) as connection:
        await identities.confirm(connection, request[VISITOR].user, but=request[VISITOR].provider)
    return form.back(PATH)


async def _unlink(request: web.Request, fields: Form) -> web.StreamResponse:
    """Whoever came in by it is out, too."""
    visitor, issuer = request[VISITOR], fields.get("issuer", "").replace("\x00", "")
    if visitor.suspended:
        raise Suspended
    async with connected(request.app[POOL]) as connection, connection.transaction():
        linked = {row["issuer"]: row for row in await identities.of_user(connection, visitor.user)}
        if issuer not in linked:
            raise NotFound
        await identities.lock(connection, issuer, linked[issuer]["subject"])
        gone = await identities.remove(connection, visitor.user, issuer)
        if gone is None:
            raise LastIdentity
        await sessions.end(connection, visitor.user, provider=gone["provider"])
        before = {"provider": gone["provider"]}
        await audit.note(connection, "identity unlinked", actor=visitor.user, subject=visitor.user, before=before)
    if visitor.provider == gone["provider"]:
        await cookie.sign_out(request)
        return form.back(GONE_PATH)
    await cookie.leave_notice(request, f"“{gone['login']}” is unlinked, and cannot sign in here any more.")
    return form.back(PATH)


async def _end_session(request: web.Request, _: Form) -> web.StreamResponse:
    visitor = request[VISITOR]
    try:
        session = UUID(request[MATCH].variables["id"])
    except ValueError:
        raise NotFound from None
    async with connected(request.app[POOL]) as connection:
        if not await sessions.end(connection, visitor.user, only=session):
            raise NotFound
    if session == visitor.session:
        await cookie.sign_out(request)
        return form.back(GONE_PATH)
    await cookie.leave_notice(request, "That browser is signed out.")
    return form.back(PATH)


async def _end_others(request: web.Request, _: Form) -> web.StreamResponse:
    visitor = request[VISITOR]
    async with connected(request.app[POOL]) as connection:
        count = await sessions.end(connection, visitor.user, but=visitor.session)
    others = "One other browser is" if count == 1 else f"{count} other browsers are"
    await cookie.leave_notice(request, f"{others} signed out.")
    return form.back(PATH)


async def _delete(request: web.Request, fields: Form) -> web.StreamResponse:
    """The person goes; the account's numbers stay, because every credit that was given must be accounted for."""
    visitor = request[VISITOR]
    if request.app.get(DEMO_USER) == visitor.user:
        raise BadForm("The demo's account stays. To begin anew, stop the demo and remove its data folder.")
    if fields.get("confirm", "").strip().lower() != "delete":
        raise BadForm('Write "delete" into the field if you mean it. Nothing was changed.')
    async with connected(request.app[POOL]) as connection, connection.transaction():
        await _remove(connection, visitor)
    await cookie.sign_out(request)
    return form.back(GONE_PATH)


async def _remove(connection: Connection, visitor: Visitor) -> None:
    everybody = await users.locked(connection, visitor.user)
    own = everybody.get(visitor.user)
    if own is None:
        raise NotSignedIn  # the second press of a button
    if own["suspended_at"] is not None:
        raise Suspended("A suspended account cannot be deleted by its holder. Please write to the operator.")
    admins = [row for row in everybody.values() if row["role"] == "admin" and row["suspended_at"] is None]
    if [row["id"] for row in admins] == [visitor.user]:
        raise LastAdmin
    await sessions.end(connection, visitor.user)
    await keys.forget(connection, visitor.account)
    balance = await usage.locked(connection, visitor.account)
    if balance["held"]:
        raise BadForm("Calls of yours are still under way. Wait for their end, and then delete the account.")
    await webhooks.forget(connection, visitor.account)
    left = balance["available"]
    if left:
        await grant(connection, request_id.make(), visitor.account, -left, "account deleted")
    before = {"credits": credits.show(left)}
    await audit.note(connection, "account deleted", actor=visitor.user, subject=visitor.user, before=before)
    await users.delete(connection, visitor.user)
