"""One exchange, from the caller's request to the last byte of the worker's answer."""

import time

from aiohttp import web

from nijika.proxy.headers import Fields, towards_worker
from nijika.proxy.inbound import Inbound
from nijika.proxy.patience import Patience
from nijika.proxy.relay import Bill, relay
from nijika.proxy.send import Outbound, answer_of
from nijika.proxy.upstream import Upstream, milliseconds_since


async def forward(
    request: web.Request,
    upstream: Upstream,
    *,
    target: str,
    body: Inbound,
    added: Fields,
    bill: Bill | None = None,
    began: float,
) -> web.StreamResponse:
    """The response, already sent; `target` is path and query in wire form, `added` are fields for the worker.

    `began` is when the gateway met the request (time.perf_counter()), for Server-Timing.
    Raises the Problems of `answer_of` and `relay`.
    """
    fields = [*added, *upstream.headers.items()]
    patience = Patience(upstream.timing.total)
    outbound = Outbound(request.method, target, towards_worker(request.headers, fields), body)
    gateway = milliseconds_since(began)
    sent = time.perf_counter()
    async with answer_of(upstream, outbound, patience) as answer:
        return await relay(
            request,
            answer,
            body=body,
            patience=patience,
            idle_seconds=upstream.timing.idle,
            bill=bill,
            timing=f"gateway;dur={gateway}, upstream;dur={milliseconds_since(sent)}",
        )
