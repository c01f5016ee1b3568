"""The composition root: resources, chain and routes; the only file that knows every room."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial, reduce

from aiohttp import web
from aiohttp.typedefs import Middleware as MiddlewareOfAiohttp

from nijika import request_id
from nijika.config import Config, UpstreamSettings
from nijika.database import open_pool
from nijika.ledger import Ledger
from nijika.middlewares.body import Body
from nijika.middlewares.canonical import Canonical
from nijika.middlewares.problems import Problems
from nijika.module import Handler, Middleware
from nijika.proxy.inbound import say_continue
from nijika.proxy.upstream import Pace, Timing, Upstream, Wake
from nijika.route import Routes
from nijika.state import BODY_SECONDS, LEDGER, MATCH, POOL, PUBLIC_URL, ROUTES, UPSTREAMS, VAULT
from nijika.store.vault import Vault


def build(config: Config, *, database_url: str) -> web.Application:
    """The application that serves `config`; its secrets and the database's address must be settled by now."""
    chain: list[Middleware] = [Problems(), Canonical(), Body(), *config.middlewares]
    app = web.Application(middlewares=[_entry(chain)])
    app[ROUTES] = Routes(route for plugin in config.routes for route in plugin.routes())
    app[VAULT] = Vault(config.server.secrets)
    app[PUBLIC_URL] = config.server.public_url.rstrip("/")
    app[BODY_SECONDS] = config.server.body_seconds
    app[UPSTREAMS] = {name: _upstream(name, settings) for name, settings in config.upstreams.items()}
    # Our own table of routes decides; aiohttp's only has to let everything in, without an invitation to send bodies.
    app.router.add_route("*", "/{path:.*}", _endpoint, expect_handler=_uninvited)
    app.on_response_prepare.append(_prepare(chain))
    app.cleanup_ctx.append(_resources(config, database_url))
    return app


def _entry(chain: list[Middleware]) -> MiddlewareOfAiohttp:
    """The chain as one middleware: each link is given the next one, the last one the endpoint."""
    whole = reduce(lambda inner, link: partial(link, handler=inner), reversed(chain), _endpoint)

    @web.middleware
    async def entry(request: web.Request, handler: Handler) -> web.StreamResponse:  # noqa: ARG001 (aiohttp's name)
        return await whole(request)

    return entry


async def _endpoint(request: web.Request) -> web.StreamResponse:
    """What the chain leads to: the route's own handler, once nothing stands against it."""
    route = request[MATCH].route
    if not route.continues:
        await say_continue(request)
    return await route.handler(request)


async def _uninvited(_: web.Request) -> None:
    """aiohttp would say 100 Continue before the chain has looked at the request."""


def _prepare(chain: list[Middleware]) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    async def prepare(request: web.Request, response: web.StreamResponse) -> None:
        for link in chain:
            await link.prepare(request, response)

    return prepare


def _resources(config: Config, database_url: str) -> Callable[[web.Application], AsyncIterator[None]]:
    """What must be open while requests are served; closed in the opposite order."""

    async def resources(app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            pool = await open_pool(database_url, connections_max=config.database.connections_max)
            app[POOL] = await stack.enter_async_context(pool)
            app[LEDGER] = Ledger(app[POOL], owner=request_id.make())
            stack.push_async_callback(app[LEDGER].close)
            for upstream in app[UPSTREAMS].values():
                await stack.enter_async_context(upstream)
            for module in (*config.middlewares, *config.routes):
                await stack.enter_async_context(module.lifespan(app))
            yield

    return resources


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
    )
