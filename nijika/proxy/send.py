"""Send one request to a worker and get the head of its answer, through failover, waking and redirects.

Source: RFC 9110, 15.4.4 (303); Modal's web endpoints answer so when they take longer than 150 s.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from aiohttp import hdrs
from multidict import CIMultiDict
from yarl import URL

from nijika.errors import Problem, UpstreamFailed, UpstreamTimeout, UpstreamUnavailable
from nijika.proxy.answer import Awaited
from nijika.proxy.body import Body
from nijika.proxy.edge import refuse_foreign
from nijika.proxy.patience import Patience
from nijika.proxy.place import UNAUTHORIZED, Place
from nijika.proxy.upstream import Upstream, Wake

HOPS_MAX = 20

log = logging.getLogger("nijika.upstream")

_SEE_OTHER = 303
_TOO_MANY_REQUESTS = 429
_SERVICE_UNAVAILABLE = 503
_GATEWAY_TIMEOUT = 504


@dataclass(frozen=True)
class Outbound:
    """What is sent: `target` is path and query in wire form."""

    method: str
    target: str
    fields: CIMultiDict[str]
    body: Body


@asynccontextmanager
async def answer_of(upstream: Upstream, outbound: Outbound, patience: Patience) -> AsyncIterator[Awaited]:
    """The worker's answer, head read, body still to come; its status is neither 1xx, 5xx, 401, 407, 429 nor a redirect.

    Raises UpstreamFailed, UpstreamUnavailable, UpstreamTimeout, or what broke the caller's body.
    """
    await upstream.pace()
    async with AsyncExitStack() as stack:
        tried: set[Place] = set()
        while True:
            place = await stack.enter_async_context(upstream.visit(tried))
            if place is None:
                raise UpstreamFailed
            tried.add(place)
            answer = await _ask(upstream, place, outbound, patience)
            if answer is not None:
                break
        outbound.body.forget()
        stack.callback(answer.close)
        answer = await _follow(upstream, place, answer, patience)
        stack.callback(answer.close)
        try:
            _refuse_failures(answer)
        except Problem:
            log.warning("upstream %s: answered %d", upstream.name, answer.status)
            raise
        awaited = Awaited(answer, outbound.body, patience, upstream.timing.idle)
        await refuse_foreign(awaited)
        yield awaited


async def _ask(
    upstream: Upstream, place: Place, outbound: Outbound, patience: Patience
) -> aiohttp.ClientResponse | None:
    """One place's answer; None if nobody is there and another place may be asked."""
    wake = upstream.wake
    if wake is None:
        return await _send(upstream, place, outbound, patience)
    if outbound.body.exists and not outbound.body.is_small and not place.is_fresh:
        await _wake(upstream, place, wake, patience)
    answer = await _send(upstream, place, outbound, patience)
    if not outbound.body.is_replayable:
        return answer
    if answer is not None and answer.status != _SERVICE_UNAVAILABLE:
        return answer
    if answer is None and len(upstream.places) > 1:
        return None
    if answer is not None:
        answer.close()
    await _wake(upstream, place, wake, patience)
    return await _send(upstream, place, outbound, patience)


async def _wake(upstream: Upstream, place: Place, wake: Wake, patience: Patience) -> None:
    async with patience.limit(wake.seconds + 1):
        await place.wake(upstream.session, wake.path, wake.seconds)


async def _send(
    upstream: Upstream, place: Place, outbound: Outbound, patience: Patience
) -> aiohttp.ClientResponse | None:
    """The head of the answer of one try; None if no connection came about, so that nothing was sent."""
    body = outbound.body
    try:
        async with patience.limit(upstream.timing.first_byte) as turn:
            body.time(turn)
            answer = await upstream.session.request(
                outbound.method,
                place.url(outbound.target),
                headers=outbound.fields,
                data=body.chunks() if body.exists else None,
                allow_redirects=False,
            )
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        place.failed(str(error))
        log.warning("upstream %s: %s", upstream.name, place.failure)
        return None
    except UpstreamTimeout:
        place.failure = "took too long"
        log.warning("upstream %s: %s", upstream.name, place.failure)
        raise
    except (aiohttp.ClientError, ConnectionError, ValueError) as error:
        if body.failure is not None:
            raise body.failure from error
        place.failure = str(error) or type(error).__name__
        log.warning("upstream %s: %s", upstream.name, place.failure)
        raise UpstreamFailed from error
    place.answered(answer.status)
    return answer


async def _follow(
    upstream: Upstream, place: Place, answer: aiohttp.ClientResponse, patience: Patience
) -> aiohttp.ClientResponse:
    """The answer at the end of a chain of 303 within the place; every other redirect is the worker's mistake."""
    hops = 0
    while answer.status == _SEE_OTHER:
        hops += 1
        url = _within(place, answer)
        answer.close()
        if hops > HOPS_MAX:
            raise UpstreamFailed
        try:
            async with patience.limit(upstream.timing.first_byte):
                answer = await upstream.session.get(url, allow_redirects=False)
        except (aiohttp.ClientError, ConnectionError, ValueError) as error:
            raise UpstreamFailed from error
    return answer


def _within(place: Place, answer: aiohttp.ClientResponse) -> URL:
    location = answer.headers.get(hdrs.LOCATION, "")
    try:
        url = answer.url.join(URL(location, encoded=True))
        holds = place.holds(url) and not urlsplit(location).username
    except ValueError:
        holds = False
    if not location or not holds:
        log.warning("%s: redirects to another place, which is not followed", answer.url.origin())
        answer.close()
        raise UpstreamFailed
    return url


def _refuse_failures(answer: aiohttp.ClientResponse) -> None:
    """The body of a failure stays here: it may tell secrets, and the caller pays nothing."""
    status = answer.status
    if not 200 <= status < 600 or answer.headers.get(hdrs.TRANSFER_ENCODING, "chunked").lower() != "chunked":  # noqa: PLR2004
        raise UpstreamFailed
    if status in {_TOO_MANY_REQUESTS, _SERVICE_UNAVAILABLE}:
        raise UpstreamUnavailable(_retry_after(answer))
    if status == _GATEWAY_TIMEOUT:
        raise UpstreamTimeout
    if status >= 500 or (300 <= status < 400 and status != 304) or status in UNAUTHORIZED:  # noqa: PLR2004 (classes of status)
        raise UpstreamFailed


def _retry_after(answer: aiohttp.ClientResponse) -> int:
    text = answer.headers.get(hdrs.RETRY_AFTER, "")
    return min(int(text), 3600) if text.isascii() and text.isdigit() and len(text) < 6 else 5  # noqa: PLR2004
