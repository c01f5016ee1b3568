"""The composition root: resources, chain and routes; the only file that knows every room."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial, reduce
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware as MiddlewareOfAiohttp
from yarl import URL

from nijika.config import Config, Login, UpstreamSettings
from nijika.database import OUTAGE, open_pool, unreachable
from nijika.errors import Problem
from nijika.ledger import Ledger
from nijika.ledger.lease import Lease
from nijika.ledger.sweeper import Sweeper
from nijika.limits.settings import MEMORY
from nijika.limits.shared import Shared
from nijika.login.admission import Terms
from nijika.login.github import GitHub
from nijika.login.gitlab import GitLab
from nijika.login.provider import Addresses, Provider
from nijika.login.sign_in import SignIn
from nijika.middlewares.api_key import ApiKey
from nijika.middlewares.body import Body
from nijika.middlewares.canonical import Canonical
from nijika.middlewares.observed import Observed
from nijika.middlewares.problems import Problems
from nijika.middlewares.rate_limit import RateLimit
from nijika.middlewares.traced import Traced
from nijika.module import Handler, Middleware, Module, Route
from nijika.pages import render
from nijika.proxy.gathered import gathered
from nijika.proxy.inbound import Inbound, say_continue, watched
from nijika.proxy.upstream import Check, Pace, Rest, Room, Timing, Upstream, Wake
from nijika.standing import Standing
from nijika.state import (
    ADDITIONS,
    BODY_SECONDS,
    DEMO_USER,
    FINGERPRINT,
    GAUGED,
    KEYRING,
    LEASE,
    LEDGER,
    LISTENER,
    MATCH,
    POOL,
    PUBLIC_URL,
    REFUSALS,
    ROUTES,
    SHARED,
    SIGN_IN,
    STANDING,
    TASK,
    UPSTREAMS,
    VAULT,
)
from nijika.store.keyring import Keyring
from nijika.store.listener import Listener
from nijika.store.vault import Vault

CANCEL_SECONDS = 5.0
"""What runs beside the requests and does not end within this is told to end once more."""


def build(
    config: Config, *, database_url: str, demo_user: int | None = None, standing: Standing | None = None
) -> web.Application:
    """The application that serves `config`; its secrets and the database's address must be settled by now.

    Whoever reaches the application may sign in as `demo_user`; `standing` is how its process stands, if others know.
    """
    traced = [Traced(settings=config.traces)] if config.traces.endpoint else []
    chain: list[Middleware] = [Observed(), *traced, Problems(), Canonical(), *_with_body(config.middlewares)]
    tasks: set[asyncio.Task[Any]] = set()
    routes = config.table()
    app = web.Application(middlewares=[_entry(chain, tasks)])
    app[STANDING] = standing or Standing()
    app[ROUTES] = routes
    app[REFUSALS] = _refusals(chain)
    app[ADDITIONS] = _additions(chain)
    app[VAULT] = Vault(config.server.secrets)
    app[PUBLIC_URL] = config.server.public_url.rstrip("/")
    app[SIGN_IN] = SignIn(
        _providers(config.login),
        app[VAULT].cipher("nijika sign-in"),
        Terms(config.credits.signup_bonus, config.login.first_user_is_admin),
    )
    if demo_user is not None:
        app[DEMO_USER] = demo_user
    app[BODY_SECONDS] = config.server.body_seconds
    app[GAUGED] = []
    app[UPSTREAMS] = _upstreams(config.upstreams)
    app[SHARED] = _shared(config.middlewares)
    render.setup(app)
    # Our own table of routes decides; aiohttp's only has to let everything in, without an invitation to send bodies.
    app.router.add_route("*", "/{path:.*}", _endpoint, expect_handler=_uninvited)
    app.on_response_prepare.append(_prepare(chain))
    app.cleanup_ctx.append(_resources(config, database_url, (*chain, *config.routes), tasks))
    return app


def _with_body(links: Sequence[Middleware]) -> list[Middleware]:
    """`body` stands right before `pricing`, or last: a body that is refused was counted, and is not paid for."""
    names = [link.use for link in links]
    place = names.index("pricing") if "pricing" in names else len(names)
    return [*links[:place], Body(), *links[place:]]


def _refusals(chain: Sequence[Middleware]) -> Callable[[Route], list[type[Problem]]]:
    """What the chain may answer in place of a route's handler."""
    return lambda route: [problem for link in chain for problem in link.refuses(route)]


def _additions(chain: Sequence[Middleware]) -> Callable[[Route], list[str]]:
    """The fields that the chain puts on the answers of a route's handler."""
    return lambda route: [name for link in chain for name in link.adds(route)]


def _entry(chain: list[Middleware], tasks: "set[asyncio.Task[Any]]") -> MiddlewareOfAiohttp:
    """The chain as one middleware: each link is given the next one, the last one the endpoint.

    `tasks` holds those that are in it: aiohttp forgets a handler whose caller has hung up.
    """
    whole = reduce(lambda inner, link: partial(link, handler=inner), reversed(chain), _endpoint)

    @web.middleware
    async def entry(request: web.Request, handler: Handler) -> web.StreamResponse:  # noqa: ARG001 (aiohttp's name)
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        request[TASK] = task
        try:
            return await whole(request)
        finally:
            tasks.discard(task)

    return entry


async def _endpoint(request: web.Request) -> web.StreamResponse:
    """What the chain leads to: the route's own handler, once nothing stands against it."""
    route = request[MATCH].route
    if route.continues:
        return await route.handler(request)
    bytes_max, seconds = route.body_bytes_max, request.app[BODY_SECONDS]
    if FINGERPRINT in request:
        reader = request[FINGERPRINT]
        await gathered(request, Inbound(request, bytes_max=bytes_max, seconds=seconds, keeps=False, reader=reader))
        return await route.handler(request)
    await say_continue(request)
    async with watched(request, bytes_max=bytes_max, seconds=seconds):
        return await route.handler(request)


async def _uninvited(_: web.Request) -> None:
    """aiohttp would say 100 Continue before the chain has looked at the request."""


def _prepare(chain: list[Middleware]) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    links = [link for link in chain if type(link).prepare is not Middleware.prepare]

    async def prepare(request: web.Request, response: web.StreamResponse) -> None:
        for link in links:
            await link.prepare(request, response)

    return prepare


def _resources(
    config: Config, database_url: str, modules: Sequence[Module], tasks: "set[asyncio.Task[Any]]"
) -> Callable[[web.Application], AsyncIterator[None]]:
    """What must be open while requests are served; closed in the opposite order."""

    async def resources(app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            try:
                connections, bounced = config.database.connections_max, config.database.pgbouncer
                pool = await open_pool(database_url, connections_max=connections, pgbouncer=bounced)
                app[POOL] = await stack.enter_async_context(pool)
                lease = app[LEASE] = await stack.enter_async_context(Lease(app[POOL], config.ledger.lease_seconds))
            except OUTAGE as error:
                raise unreachable(error) from None
            app[LEDGER] = Ledger(app[POOL], lease.id, fenced=lease.lose)
            stack.push_async_callback(app[LEDGER].close)
            await stack.enter_async_context(_running(Sweeper(app[POOL], lease, app[LEDGER]).run()))
            app[KEYRING] = Keyring(app[POOL])
            await stack.enter_async_context(_running(app[KEYRING].run()))
            listen_url = config.database.heard_at(database_url)
            listener = app[LISTENER] = None if listen_url is None else Listener(listen_url, app[KEYRING])
            if listener is not None:
                await stack.enter_async_context(_running(listener.run()))
            for upstream in app[UPSTREAMS].values():
                await stack.enter_async_context(upstream)
            for shared in app[SHARED].values():
                await stack.enter_async_context(shared)
            for provider in app[SIGN_IN].providers.values():
                await stack.enter_async_context(provider)
            for module in modules:
                await stack.enter_async_context(module.lifespan(app))
            yield
            await _end(tasks)

    return resources


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Work that goes on beside the requests."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        while not task.done():
            # A connection that breaks while it is given back can put its own error in the place of a cancellation.
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL_SECONDS)


async def _end(tasks: "set[asyncio.Task[Any]]") -> None:
    """Cancel what is still going on, and let it refund what it holds."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(set(tasks))


def _upstreams(tables: Mapping[str, UpstreamSettings]) -> dict[str, Upstream]:
    made = {name: _upstream(name, settings) for name, settings in tables.items()}
    for name, settings in tables.items():
        made[name].fallback = made[settings.fallback] if settings.fallback else None
    return made


def _upstream(name: str, settings: UpstreamSettings) -> Upstream:
    return Upstream(
        name,
        settings.urls,
        headers=settings.headers,
        timing=Timing(
            connect=settings.connect_seconds,
            first_byte=settings.first_byte_seconds,
            idle=settings.idle_seconds,
            total=settings.total_seconds,
        ),
        wake=Wake(settings.wake.path, settings.wake.seconds) if settings.wake else None,
        pace=Pace(*settings.max_rate) if settings.max_rate else None,
        rest=Rest(
            settings.failures_max,
            settings.rest_seconds,
            settings.rest_seconds_max,
            trial_seconds=settings.first_byte_seconds,
        ),
        check=Check(settings.check.path, settings.check.seconds) if settings.check else None,
        room=Room(settings.concurrency, settings.queue_seconds, settings.queue),
    )


def _shared(links: Sequence[Middleware]) -> dict[str, Shared]:
    """One client for each Redis that links count in, by its address."""
    counting = [link for link in links if isinstance(link, RateLimit | ApiKey) and link.store != MEMORY]
    vital = {link.store for link in counting if isinstance(link, RateLimit) and link.on_outage == "refuse"}
    return {link.store: Shared(link.store, is_vital=link.store in vital) for link in counting}


def _providers(settings: Login) -> dict[str, Provider]:
    """Those that have a client id and secret, by name."""
    providers: dict[str, Provider] = {}
    for kind, given in ((GitHub, settings.github), (GitLab, settings.gitlab)):
        if given is not None:
            addresses = kind.default
            if given.authorize_url and given.token_url and given.api_url:
                addresses = Addresses(given.authorize_url, given.token_url, str(URL(given.api_url)).rstrip("/"))
            providers[kind.name] = kind(given.client_id, given.client_secret, addresses, given.trust_email)
    return providers
