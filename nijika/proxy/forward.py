"""One exchange, from the caller's request to the last byte of the worker's answer."""

import time
from contextlib import ExitStack
from functools import partial

from aiohttp import web
from multidict import MultiMapping

from nijika.proxy.attempt import Outbound
from nijika.proxy.body import Body
from nijika.proxy.connection import has_left
from nijika.proxy.contract import Contract, worded
from nijika.proxy.elsewhere import elsewhere
from nijika.proxy.headers import Fields
from nijika.proxy.relay import Bill, relay
from nijika.proxy.send import answer_of
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
    outbound = Outbound(request.method, target, request.headers if fields is None else fields, added, body)
    gateway = milliseconds_since(began)
    sent = time.perf_counter()
    with ExitStack() as stack:
        answer = await answer_of(stack, upstream, outbound, partial(has_left, request), elsewhere(request))
        return await relay(
            request,
            answer if contract is None else await worded(answer, contract),
            body=body,
            bill=bill,
            timing=f"gateway;dur={gateway}, upstream;dur={milliseconds_since(sent)}",
        )
