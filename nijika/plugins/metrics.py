"""`GET /metrics`: the numbers of all processes of this gateway, for Prometheus and whoever reads its format."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from ipaddress import ip_network

from aiohttp import hdrs, web

from nijika.errors import NotFound
from nijika.metrics import database, exposition, limits, money, process, upstreams
from nijika.module import FREE, Plugin, Route
from nijika.network import Network
from nijika.state import CLIENT_IP, GAUGED, LEDGER, PEER, POOL, SHARED, UPSTREAMS

LOOK_SECONDS = 0.5
"""What can only be looked at is looked at this often, so that another process, when it is asked, knows of it."""

PAUSE_SECONDS = 60.0
"""For so long nothing is looked at after that has failed."""

log = logging.getLogger("nijika")

_HANDED_ON = hdrs.X_FORWARDED_FOR, hdrs.FORWARDED


class Metrics(Plugin):
    """Clients from the networks in `allow` may read them; for everybody else there is nothing here (404)."""

    use: str = "metrics"
    allow: tuple[Network, ...] = (ip_network("127.0.0.1/32"), ip_network("::1/128"))
    """Networks (CIDR) from which /metrics may be read; for others it is not there."""

    def routes(self) -> Iterable[Route]:
        """The one route; it is none of the callers' business, so the reference leaves it out."""
        yield Route(("GET",), "/metrics", self._metrics, FREE, about=None)

    @asynccontextmanager
    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        """Look at what has to be looked at."""
        process.began(is_alone=exposition.is_alone())
        task = asyncio.create_task(_look_for_ever(app), name="metrics")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _metrics(self, request: web.Request) -> web.Response:
        if not self._may_read(request):
            raise NotFound
        _look(request.app)
        accept = ",".join(request.headers.getall(hdrs.ACCEPT, ()))
        body, content_type = await asyncio.to_thread(exposition.render, accept)
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type, hdrs.CACHE_CONTROL: "no-store"})

    def _may_read(self, request: web.Request) -> bool:
        """Behind a proxy that `real_ip` does not know, every client has the proxy's address, which proves nothing."""
        address = request[CLIENT_IP]
        if address == request[PEER] and any(name in request.headers for name in _HANDED_ON):
            return False
        return any(address in network for network in self.allow)


async def _look_for_ever(app: web.Application) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LOOK_SECONDS
        await asyncio.sleep(LOOK_SECONDS)
        process.LAG_SECONDS.observe(max(loop.time() - due, 0.0))
        try:
            _look(app)
        except Exception:  # among those who are looked at may be modules from outside
            log.exception("not everything could be measured")
            await asyncio.sleep(PAUSE_SECONDS)


def _look(app: web.Application) -> None:
    pool, ledger = app[POOL], app[LEDGER]
    database.seen(pool.get_size(), pool.get_size() - pool.get_idle_size(), pool.get_max_size())
    money.OPEN.set(ledger.open)
    money.WAITING.set(ledger.waiting)
    for upstream in app[UPSTREAMS].values():
        upstreams.seen(upstream.name, upstream.state(), upstream.waiting)
    limits.REDIS_AWAY.set(sum(shared.away for shared in app[SHARED].values()))
    for measure in app[GAUGED]:
        measure()
