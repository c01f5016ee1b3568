"""Try a route from the browser: the page calls the public API itself, with a key that ends with the session."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from aiohttp import web

from nijika.database import Connection, connected
from nijika.errors import NotSignedIn, Suspended
from nijika.module import FREE, Plugin, Route
from nijika.pages import form, offer, own_key
from nijika.pages.form import Form
from nijika.pages.own_key import NO_KEY
from nijika.pages.render import iso, page
from nijika.state import POOL, PUBLIC_URL, ROUTES, SESSION_LIFE, VAULT, VISITOR
from nijika.store import keys, sessions, usage
from nijika.store.sessions import Life, Visitor
from nijika.store.vault import Vault

KEY_NAME = "playground (this browser)"
KEY_LIFE = timedelta(hours=1)


class Playground(Plugin):
    """`GET /playground`; the key that its page asks for lives for an hour, and never longer than the session."""

    def prerequisites(self) -> tuple[str, ...]:
        """Its calls are paid for by whoever is signed in."""
        return ("session", "api_key")

    def routes(self) -> Iterable[Route]:
        """The page, and the key that its script asks for."""
        yield Route(("GET",), "/playground", _page, FREE, who="user")
        yield form.post("/playground/key", _key, who="user")


async def _page(request: web.Request) -> web.StreamResponse:
    table = request.app[ROUTES]
    routes = sorted(filter(_can_be_tried, offer.sold(table)), key=lambda route: not offer.takes_picture(route))
    owned = await own_key.of_visitor(request)
    async with connected(request.app[POOL]) as connection:
        account = await usage.account(connection, request[VISITOR].account)
    return page(
        request,
        "playground.html",
        url=request.app[PUBLIC_URL],
        available=account["available"],
        choices=[(route, owned.allowed_on(route.name)) for route in routes],
        no_key=NO_KEY,
        price=offer.price,
        size=offer.size,
        takes_picture=offer.takes_picture,
    )


def _can_be_tried(route: Route) -> bool:
    """Somebody's body goes in, and the path has nothing to fill in."""
    return "POST" in route.methods and route.who == "anyone" and "{" not in route.path and not route.path.endswith("/*")


async def _key(request: web.Request, _: Form) -> web.StreamResponse:
    visitor = request[VISITOR]
    if visitor.suspended:
        raise Suspended
    async with connected(request.app[POOL]) as connection, connection.transaction():
        text, expires_at = await _session_key(connection, request.app[VAULT], visitor, request.app[SESSION_LIFE])
    return web.json_response({"key": text, "expires_at": iso(expires_at)}, headers={"Cache-Control": "no-store"})


async def _session_key(connection: Connection, vault: Vault, visitor: Visitor, life: Life) -> tuple[str, datetime]:
    """The one key of a session, alive from now on; a second tab waits here for the first, and finds it."""
    ends_at = await sessions.locked(connection, visitor.session, life)
    if ends_at is None:
        raise NotSignedIn
    expires_at = min(datetime.now(UTC) + KEY_LIFE, ends_at)
    row = await keys.of_session(connection, visitor.session)
    if row is not None:
        text = vault.open(row["sealed"]) if row["sealed"] else None
        if text is not None:
            await keys.expire(connection, row["id"], expires_at)
            return text, expires_at
        await keys.revoke(connection, row["id"])
    made = await keys.make(
        connection, vault, account=visitor.account, name=KEY_NAME, expires_at=expires_at, session=visitor.session
    )
    return made.text, expires_at
