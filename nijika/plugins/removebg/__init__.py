"""remove.bg's contract in front of nijika's worker: its clients work here once they are told another address."""

from collections.abc import Iterable
from functools import partial

from aiohttp import hdrs, web
from pydantic import PositiveInt

from nijika import credits, endpoint
from nijika.database import connected
from nijika.endpoint import PathSetting, PriceSetting
from nijika.module import FREE, Plugin, Route
from nijika.plugins.removebg import errors, form
from nijika.plugins.removebg.accept import wants_json
from nijika.plugins.removebg.limits import count_from_epoch
from nijika.plugins.removebg.options import unknown
from nijika.plugins.removebg.result import Results
from nijika.plugins.removebg.writer import Writer
from nijika.proxy.budget import GATHERED, Share
from nijika.proxy.forward import forward
from nijika.proxy.inbound import Inbound
from nijika.proxy.translated import Translated
from nijika.state import BEGAN, BILL, KEY, POOL, UPSTREAMS
from nijika.store import usage


class RemoveBg(Plugin):
    """Clients of remove.bg, told another address, work here (drop-in.md)."""

    upstream: str
    """The worker, one that speaks as nijika's own does: the name of a table `[upstreams.NAME]`."""
    price: PriceSetting
    """What a success costs, whatever the size."""
    path: PathSetting = "/v1.0/removebg"
    """Where pictures are sent."""
    account_path: PathSetting = "/v1.0/account"
    """Where the balance is asked for."""
    target: PathSetting = "/v1/cutout"
    """The path on the worker."""
    body_bytes_max: PositiveInt = 34_952_534  # 25 MiB in base64
    """The largest body that is taken, in bytes. A picture in base64 is a third larger than the picture."""

    def routes(self) -> Iterable[Route]:
        """The reference of both is remove.bg's own."""
        yield Route(
            ("POST",),
            self.path,
            self._remove,
            self.price,
            needs_key=True,
            body_bytes_max=self.body_bytes_max,
            content_types=form.KINDS,
            upstream=self.upstream,
            target=self.target,
            continues=True,
            about=None,
            renders=errors.render,
        )
        yield Route(("GET",), self.account_path, _account, FREE, needs_key=True, about=None, renders=errors.render)

    async def _remove(self, request: web.Request) -> web.StreamResponse:
        count_from_epoch(request)
        if request.query:
            raise unknown(next(iter(request.query)), "Parameters go into the body, and not into the query.")
        inbound = endpoint.body(request, self.upstream, self.body_bytes_max)
        size = self.body_bytes_max if inbound.size is None else inbound.size
        with GATHERED.share(size) as share:
            writer = await Writer.begun(partial(_read, request, inbound, share), share)
            return await forward(
                request,
                request.app[UPSTREAMS][self.upstream],
                target=self.target,
                body=Translated(inbound, writer.pieces),
                added=endpoint.told(request),
                bill=request.get(BILL),
                began=request[BEGAN],
                fields=writer.fields,
                contract=Results(writer, is_json=wants_json(request.headers.get(hdrs.ACCEPT, ""))),
            )


async def _read(request: web.Request, inbound: Inbound, share: Share) -> form.Form:
    """The caller's form, up to its first file."""
    begun = form.Form(request, inbound.chunks(), share)
    await begun.advance()
    return begun


async def _account(request: web.Request) -> web.Response:
    count_from_epoch(request)
    async with connected(request.app[POOL]) as connection:
        row = await usage.account(connection, request[KEY].account)
    available = float(credits.show(row["available"]))  # a number in their contract
    attributes = {
        "credits": {"total": available, "subscription": 0, "payg": available, "enterprise": 0},
        "api": {"free_calls": 0, "sizes": "all"},
    }
    return web.json_response({"data": {"attributes": attributes}}, headers={"Cache-Control": "no-store"})
