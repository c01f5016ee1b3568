"""Sign-in by GitHub or GitLab, sign-out, and linking a second identity to an account."""

import logging
from collections.abc import Iterable
from functools import partial
from uuid import UUID, uuid4

from aiohttp import hdrs, web

from nijika.database import Connection, connected
from nijika.errors import (
    MethodNotAllowed,
    NotFound,
    Problem,
    ProviderFailed,
    SignInDeclined,
    SignInFailed,
    Suspended,
)
from nijika.login.admission import admit
from nijika.login.pending import SECONDS, Pending
from nijika.login.provider import Provider
from nijika.module import FREE, Plugin, Route
from nijika.pages import cookie, form
from nijika.pages.form import Form
from nijika.pages.render import page
from nijika.pages.render import problem as problem_page
from nijika.proxy.path import canonical
from nijika.state import (
    CLIENT_IP,
    DEMO_USER,
    POOL,
    PUBLIC_URL,
    ROUTES,
    SESSION_LIFE,
    SIGN_IN,
    VAULT,
    VISITOR,
)
from nijika.store import identities, sessions

HOME, LINKED = "/dashboard", "/dashboard/account"
NAMES = ("github", "gitlab")

log = logging.getLogger("nijika.login")


class Login(Plugin):
    """`/login`, `/auth/github`, `/auth/gitlab` with their callbacks, `/auth/logout`; `/auth/demo` in the demo."""

    def prerequisites(self) -> tuple[str, ...]:
        """Whoever signs in has a session."""
        return ("session",)

    def routes(self) -> Iterable[Route]:
        """The page, and for each provider where it begins and where it comes back."""
        yield Route(("GET",), "/login", _page, FREE, who="visitor")
        for name in NAMES:
            yield Route(("GET",), f"/auth/{name}", partial(_begin, name), FREE, who="visitor")
            yield Route(("GET",), f"/auth/{name}/callback", partial(_callback, name), FREE, who="visitor")
            yield form.post(f"/auth/{name}/link", partial(_link, name), who="user")
        yield form.post("/auth/demo", _demo, who="visitor")
        yield form.post("/auth/logout", _logout, who="visitor")


async def _page(request: web.Request) -> web.StreamResponse:
    if VISITOR in request:
        return form.back(_next(request, request.query.get("next", "")))
    providers = request.app[SIGN_IN].providers.values()
    return page(
        request,
        "login.html",
        providers=list(providers),
        demo=DEMO_USER in request.app,
        next=_next(request, request.query.get("next", "")),
    )


async def _begin(name: str, request: web.Request) -> web.StreamResponse:
    provider = _provider(request, name)
    destination = _next(request, request.query.get("next", ""))
    if VISITOR in request:
        return form.back(destination)
    pending = Pending.begin(name, next=destination)
    return _kept(request, form.back(_authorize_url(request, provider, pending)), pending)


async def _link(name: str, request: web.Request, _: Form) -> web.StreamResponse:
    """The page that follows leads on by itself: a browser lets no form be redirected to hosts that it was not told."""
    provider, visitor = _provider(request, name), request[VISITOR]
    if visitor.suspended:
        raise Suspended
    pending = Pending.begin(name, next=LINKED, link=str(visitor.session))
    url = _authorize_url(request, provider, pending)
    return _kept(request, page(request, "leaving.html", url=url, provider=provider), pending)


def _authorize_url(request: web.Request, provider: Provider, pending: Pending) -> str:
    return provider.authorize_url(
        state=pending.state, verifier=pending.verifier, redirect_uri=_callback_url(request, provider)
    )


def _kept(request: web.Request, answer: web.Response, pending: Pending) -> web.Response:
    """An answer that leaves in this browser's cookie what must come back from the provider."""
    name, secure = _cookie(request)
    answer.set_cookie(
        name,
        pending.sealed(request.app[SIGN_IN].cipher),
        max_age=SECONDS,
        path="/",
        secure=secure,
        httponly=True,
        samesite="Lax",
    )
    return answer


async def _callback(name: str, request: web.Request) -> web.StreamResponse:
    """Whatever comes of it, the sign-in's cookie has done its work."""
    if request.method != hdrs.METH_GET:
        raise MethodNotAllowed(request.method, (hdrs.METH_GET,))  # a HEAD would use the answer up
    provider = _provider(request, name)
    answer: web.StreamResponse
    try:
        answer = form.back(await _admitted(request, provider))
    except Problem as problem:
        if isinstance(problem, ProviderFailed):
            log.warning("sign-in by %s failed: the provider %s", name, problem.cause)
        answer = problem_page(request, problem)
    cookie_name, secure = _cookie(request)
    answer.del_cookie(cookie_name, path="/", secure=secure, httponly=True, samesite="Lax")
    return answer


async def _admitted(request: web.Request, provider: Provider) -> str:
    """Sign in or link, and return the page to go on with."""
    pending = await _pending(request, provider)
    if "error" in request.query:
        raise SignInDeclined
    code = request.query.get("code", "")
    if not code:
        raise SignInFailed
    identity = await provider.identify(
        code=code, verifier=pending.verifier, redirect_uri=_callback_url(request, provider)
    )
    visitor = request.get(VISITOR)
    linking = None
    if pending.link is not None:
        # The account that asked must still be the one that is signed in here.
        if visitor is None or str(visitor.session) != pending.link:
            raise SignInFailed
        linking = visitor.user
    terms, session = request.app[SIGN_IN].terms, uuid4()
    async with connected(request.app[POOL]) as connection, connection.transaction():
        admission = await admit(connection, identity, linking=linking, terms=terms, vault=request.app[VAULT])
        # In one transaction: who is unlinked or deleted in this moment has no session left over.
        if linking is None:
            await _begin_session(connection, request, session, admission.user, provider.name)
    if linking is None:
        await cookie.sign_in(request, session)
    await cookie.leave_notice(request, _NOTICES[admission.how].format(provider.title))
    return pending.next


_NOTICES = {
    "known": "",
    "linked": "{} is linked to your account; you can sign in with it from now on.",
    "e-mail": "Your account has the same verified e-mail address, so {} is linked to it now.",
    "new": "Welcome! Your account is made, and a first key with it.",
}


async def _pending(request: web.Request, provider: Provider) -> Pending:
    """The sign-in that this answer belongs to: begun here, for this provider, not long ago, and not used before."""
    text = request.cookies.get(_cookie(request)[0], "")
    pending = Pending.opened(text, request.app[SIGN_IN].cipher)
    states = request.query.getall("state", ())
    if pending is None or len(states) != 1 or not pending.answers(provider.name, states[0]):
        raise SignInFailed
    async with connected(request.app[POOL]) as connection:
        if not await identities.spend_state(connection, pending.digest):
            raise SignInFailed
    return pending


async def _begin_session(connection: Connection, request: web.Request, session: UUID, user: int, provider: str) -> None:
    """A new session, never one that was there before."""
    before = request.get(VISITOR)
    if before is not None:
        await sessions.end(connection, before.user, only=before.session)
    await sessions.begin(
        connection,
        session,
        user=user,
        provider=provider,
        address=request[CLIENT_IP],
        agent=request.headers.get(hdrs.USER_AGENT, ""),
        life=request.app[SESSION_LIFE],
    )


async def _demo(request: web.Request, fields: Form) -> web.StreamResponse:
    if DEMO_USER not in request.app:
        raise NotFound
    session = uuid4()
    async with connected(request.app[POOL]) as connection, connection.transaction():
        await _begin_session(connection, request, session, request.app[DEMO_USER], "demo")
    await cookie.sign_in(request, session)
    return form.back(_next(request, fields.get("next", "")))


async def _logout(request: web.Request, _: Form) -> web.StreamResponse:
    """The row goes, so that a copy of the cookie is worth nothing; then the cookie."""
    visitor = request.get(VISITOR)
    if visitor is not None:
        async with connected(request.app[POOL]) as connection:
            await sessions.end(connection, visitor.user, only=visitor.session)
    await cookie.sign_out(request)
    return form.back("/")


def _provider(request: web.Request, name: str) -> Provider:
    provider = request.app[SIGN_IN].providers.get(name)
    if provider is None:
        raise NotFound
    return provider


def _callback_url(request: web.Request, provider: Provider) -> str:
    """Made from the configuration alone: whatever Host says, it is what the provider was told."""
    return f"{request.app[PUBLIC_URL]}/auth/{provider.name}/callback"


def _cookie(request: web.Request) -> tuple[str, bool]:
    """The name of the sign-in's cookie, and whether it is for https only."""
    secure = request.app[PUBLIC_URL].startswith("https://")
    return cookie.name("nijika-sign-in", secure=secure), secure


def _next(request: web.Request, text: str) -> str:
    """The page to show after the sign-in: one of ours for people who are signed in, or else the dashboard."""
    routes = request.app[ROUTES]
    try:
        target = canonical(text)
        if routes.match("GET", target.path).route.who in {"user", "moderator", "admin"}:
            return f"{target.path}?{target.query}" if target.query else target.path
    except Problem:
        pass
    return HOME if any(route.path == HOME for route in routes) else "/"
