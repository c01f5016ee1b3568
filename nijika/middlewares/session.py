"""Who is signed in: pages get the visitor that the cookie names, and send away who may not see them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, ClassVar
from urllib.parse import quote

import aiohttp_session
from aiohttp import hdrs, web
from pydantic import Field

from nijika.database import outage_told
from nijika.errors import NotAllowed, NotSignedIn
from nijika.module import Handler, Middleware
from nijika.pages import cookie
from nijika.pages.render import wants_page
from nijika.route import Who
from nijika.state import CLIENT_IP, COOKIE, MATCH, PATH, POOL, PUBLIC_URL, QUERY, ROUTES, SESSION_LIFE, VAULT, VISITOR
from nijika.store import sessions
from nijika.store.sessions import Life, Visitor

DAY = 86_400

Seconds = Annotated[float, Field(ge=60, le=366 * DAY, title="seconds")]


class Session(Middleware):
    """Browsers: an encrypted cookie names a session in the database."""

    use: str = "session"
    idle_seconds: Seconds = 7 * DAY
    """A session ends after this long without use."""
    total_seconds: Seconds = 30 * DAY
    """A session ends after this long in any case; people sign in again then."""

    after: ClassVar[tuple[str, ...]] = ("real_ip", "rate_limit")

    @asynccontextmanager
    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        """The cookie's cipher comes from the server's secrets."""
        app[SESSION_LIFE] = Life(self.idle_seconds, self.total_seconds)
        secure = app[PUBLIC_URL].startswith("https://")
        cipher = app[VAULT].cipher("nijika session cookie")
        app[COOKIE] = cookie.Cookie(cipher, secure=secure, seconds=self.total_seconds)
        yield

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Put the Visitor on the request of a page. NotSignedIn (a browser is led to the sign-in), NotAllowed."""
        who = request[MATCH].route.who
        if who == "anyone":
            return await handler(request)

        async def inside(request: web.Request) -> web.StreamResponse:
            async with outage_told():
                visitor = await _visitor(request)
            _check(request, visitor, who)
            return await handler(request)

        return await aiohttp_session.session_middleware(request.app[COOKIE])(request, inside)


async def _visitor(request: web.Request) -> Visitor | None:
    id = await cookie.session_id(request)  # noqa: A001 (the field's word)
    visitor = None if id is None else await sessions.find(request.app[POOL], id, request.app[SESSION_LIFE])
    if visitor is None:
        if id is not None:
            await cookie.sign_out(request)
        return None
    request[VISITOR] = visitor
    if visitor.stale:
        agent = request.headers.get(hdrs.USER_AGENT, "")
        await sessions.touch(request.app[POOL], visitor.session, address=request[CLIENT_IP], agent=agent)
    return visitor


def _check(request: web.Request, visitor: Visitor | None, who: Who) -> None:
    if who == "anyone" or who == "visitor":  # noqa: PLR1714 (mypy narrows by it)
        return
    if visitor is None:
        if request.method == hdrs.METH_GET and wants_page(request) and _has_sign_in(request):
            query = f"?{request[QUERY]}" if request[QUERY] else ""
            wanted = quote(request[PATH] + query, safe="/")
            raise web.HTTPSeeOther(f"/login?next={wanted}", headers={hdrs.CACHE_CONTROL: "no-store"})
        raise NotSignedIn
    if not visitor.may(who):
        raise NotAllowed


def _has_sign_in(request: web.Request) -> bool:
    return any(route.path == "/login" for route in request.app[ROUTES])
