"""One exchange, from the caller's request to the last byte of the worker's answer."""

import time

from aiohttp import web
from multidict import MultiMapping

from nijika.proxy.body import Body
from nijika.proxy.contract import Contract, worded
from nijika.proxy.headers import Fields, towards_worker
from nijika.proxy.patience import Patience
from nijika.proxy.relay import Bill, relay
from nijika.proxy.send import Outbound, answer_of
from nijika.proxy.upstream import Upstream, milliseconds_since


async def forward(
    request: web.Request,
    upstream: Upstream,
    *,
    target: str,
    body: Body,
    added: Fields,
    bill: Bill | None = None,
    began: float,
    fields: MultiMapping[str] | None = None,
    contract: Contract | None = None,
) -> web.StreamResponse:
    """The response, already sent; `target` is path and query in wire form, `added` are fields for the worker.

    `fields` stand in for the caller's own, and what `contract` makes of the worker's answer for that.
    `began` is when the gateway met the request (time.perf_counter()), for Server-Timing.
    Raises the Problems of `answer_of`, `worded` and `relay`.
    """
    added = [*added, *upstream.headers.items()]
    patience = Patience(upstream.timing.total)
    asked = towards_worker(request.headers if fields is None else fields, added)
    outbound = Outbound(request.method, target, asked, body)
    gateway = milliseconds_since(began)
    sent = time.perf_counter()
    async with answer_of(upstream, outbound, patience) as answer:
        return await relay(
            request,
            answer if contract is None else await worded(answer, contract),
            body=body,
            bill=bill,
            timing=f"gateway;dur={gateway}, upstream;dur={milliseconds_since(sent)}",
        )
