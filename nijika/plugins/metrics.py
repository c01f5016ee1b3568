"""`GET /metrics`: the numbers of all processes of this gateway, for Prometheus and whoever reads its format."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from ipaddress import ip_network

from aiohttp import hdrs, web
from pydantic import PrivateAttr

from nijika.errors import NotFound
from nijika.metrics import database, exposition, keys, limits, money, process, upstreams
from nijika.module import FREE, Plugin, Route
from nijika.network import Network
from nijika.state import CLIENT_IP, GAUGED, KEYRING, LEDGER, LISTENER, PEER, POOL, SHARED, UPSTREAMS
from nijika.store.keyring import Keyring
from nijika.store.listener import Listener

LOOK_SECONDS = 0.5
"""What can only be looked at is looked at this often, so that another process, when it is asked, knows of it."""

PAUSE_SECONDS = 60.0
"""For so long nothing is looked at after that has failed."""

log = logging.getLogger("nijika")

_HANDED_ON = hdrs.X_FORWARDED_FOR, hdrs.FORWARDED


class Metrics(Plugin):
    """`GET /metrics`: what this gateway counts, over all of its processes, for Prometheus (metrics.md)."""

    use: str = "metrics"
    allow: tuple[Network, ...] = (ip_network("127.0.0.1/32"), ip_network("::1/128"))
    """The networks from which they may be read; for everybody else there is no such page (404). Add the address of your
    Prometheus, and no network in which callers are.
    """

    _sight: "Sight | None" = PrivateAttr(default=None)

    def routes(self) -> Iterable[Route]:
        """The one route; it is none of the callers' business, so the reference leaves it out."""
        yield Route(("GET",), "/metrics", self._metrics, FREE, about=None)

    @asynccontextmanager
    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        """Look at what has to be looked at."""
        process.began()
        self._sight = Sight(app)
        task = asyncio.create_task(self._sight.look_for_ever(), name="metrics")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            self._sight.tries_to_look()  # what was counted since the last look is to stay

    async def _metrics(self, request: web.Request) -> web.Response:
        if not self._may_read(request):
            raise NotFound
        assert self._sight is not None, "it was made before the first request"
        self._sight.look()
        accept = ",".join(request.headers.getall(hdrs.ACCEPT, ()))
        body, content_type = await asyncio.to_thread(exposition.render, accept)
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type, hdrs.CACHE_CONTROL: "no-store"})

    def _may_read(self, request: web.Request) -> bool:
        """Behind a proxy that `real_ip` does not know, every client has the proxy's address, which proves nothing."""
        address = request[CLIENT_IP]
        if address == request[PEER] and any(name in request.headers for name in _HANDED_ON):
            return False
        return any(address in network for network in self.allow)


class Sight:
    """Looks at what cannot tell of itself, or would be slower if it did."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._lookups = keys.Lookups()

    async def look_for_ever(self) -> None:
        """Every LOOK_SECONDS until cancelled, and how late that comes is how late the loop is."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LOOK_SECONDS
            await asyncio.sleep(LOOK_SECONDS)
            process.LAG_SECONDS.observe(max(loop.time() - due, 0.0))
            if not self.tries_to_look():
                await asyncio.sleep(PAUSE_SECONDS)

    def tries_to_look(self) -> bool:
        """As `look`; False, with a line in the log, if that fails: there may be modules from outside."""
        try:
            self.look()
        except Exception:
            log.exception("not everything could be measured")
            return False
        return True

    def look(self) -> None:
        """Now."""
        app, pool, ledger = self._app, self._app[POOL], self._app[LEDGER]
        database.seen(pool.get_size(), pool.get_size() - pool.get_idle_size(), pool.get_max_size())
        money.OPEN.set(ledger.open)
        money.WAITING.set(ledger.waiting)
        for upstream in app[UPSTREAMS].values():
            upstreams.seen(upstream.name, upstream.state(), upstream.waiting)
        limits.REDIS_AWAY.set(sum(shared.away for shared in app[SHARED].values()))
        self._look_at_keys(app[KEYRING], app[LISTENER])
        for measure in app[GAUGED]:
            measure()

    def _look_at_keys(self, keyring: Keyring, listener: Listener | None) -> None:
        self._lookups.seen(keyring.remembered_total, keyring.asked_total)
        keys.REMEMBERED.set(len(keyring))
        keys.LISTENER_AWAY.set(listener is not None and listener.away)
