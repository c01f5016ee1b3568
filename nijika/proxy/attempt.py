"""One try at one address, up to the head of its answer; what it tells of the address is said there.

Source: RFC 9110, 15.4.4 (303); Modal's web endpoints answer so when they take longer than 150 s.
"""

import logging
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import urlsplit

from aiohttp import hdrs
from multidict import CIMultiDict, MultiMapping
from yarl import URL

from nijika import traces
from nijika.errors import UpstreamFailed, UpstreamTimeout, UpstreamUnavailable
from nijika.proxy.body import Body
from nijika.proxy.headers import Fields, towards_worker
from nijika.proxy.http1.exchange import Exchange
from nijika.proxy.http1.failures import Broken, Unreachable
from nijika.proxy.patience import Patience
from nijika.proxy.place import UNAUTHORIZED, Place, Visit
from nijika.proxy.upstream import Upstream

HOPS_MAX = 20

log = logging.getLogger("nijika.upstream")

_CONDITIONAL = {hdrs.METH_GET, hdrs.METH_HEAD}  # 304 answers no other (RFC 9110, 15.4.5)
_SEE_OTHER = 303
_NOT_MODIFIED = 304
_TOO_MANY_REQUESTS = 429
_SERVICE_UNAVAILABLE = 503
_GATEWAY_TIMEOUT = 504


@dataclass(frozen=True)
class Outbound:
    """What is sent: `target` is path and query in wire form, `fields` the caller's own, `added` the gateway's."""

    method: str
    target: str
    fields: MultiMapping[str]
    added: Fields
    body: Body

    def fields_for(self, upstream: Upstream) -> CIMultiDict[str]:
        """All fields that this upstream gets, and no other's."""
        return towards_worker(self.fields, [*self.added, *upstream.headers.items()])

    def within(self, parent: traces.Fields) -> Self:
        """The same as a part of the trace that these fields name, in place of the caller's; if there are any."""
        if not parent:
            return self
        fields = CIMultiDict(self.fields)
        fields.popall("traceparent", None)
        fields.popall("tracestate", None)
        return replace(self, fields=fields, added=[*self.added, *parent])


async def attempt(upstream: Upstream, visit: Visit, outbound: Outbound, patience: Patience) -> Exchange | None:
    """The head of the answer; None if no connection came about, so that nothing was sent, nor read of the body.

    Raises UpstreamFailed, UpstreamTimeout, or what broke the caller's body.
    """
    body = outbound.body
    visit.asks()
    try:
        async with patience.limit(upstream.timing.first_byte) as turn:
            body.time(turn)
            answer = await upstream.ask(
                visit.place,
                outbound.method,
                visit.place.target(outbound.target),
                outbound.fields_for(upstream),
                body if body.exists else None,
            )
    except Unreachable as error:
        visit.unreachable(str(error), hangs=error.hangs)
        log.warning("upstream %s: %s", upstream.name, error)
        return None
    except UpstreamTimeout:
        visit.failed("took too long", hangs=True)
        log.warning("upstream %s: took too long", upstream.name)
        raise
    except (Broken, ConnectionError, ValueError) as error:
        if body.failure is not None:
            raise body.failure from error
        failure = str(error) or type(error).__name__
        visit.failed(failure)
        log.warning("upstream %s: %s", upstream.name, failure)
        raise UpstreamFailed from error
    visit.answered(answer.status)
    return answer


async def follow(upstream: Upstream, place: Place, answer: Exchange, patience: Patience) -> Exchange:
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
                answer = await upstream.get(place, url.raw_path_qs)
        except (Unreachable, Broken, ConnectionError, ValueError) as error:
            raise UpstreamFailed from error
    return answer


def _within(place: Place, answer: Exchange) -> URL:
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


def refuse_failures(answer: Exchange, method: str) -> None:
    """The body of a failure stays here: it may tell secrets, and the caller pays nothing."""
    status = answer.status
    is_redirect = 300 <= status < 400 and (status != _NOT_MODIFIED or method not in _CONDITIONAL)  # noqa: PLR2004 (3xx)
    if not 200 <= status < 600:  # noqa: PLR2004
        raise UpstreamFailed
    if status in {_TOO_MANY_REQUESTS, _SERVICE_UNAVAILABLE}:
        raise UpstreamUnavailable(_retry_after(answer))
    if status == _GATEWAY_TIMEOUT:
        raise UpstreamTimeout
    if status >= 500 or is_redirect or status in UNAUTHORIZED:  # noqa: PLR2004 (5xx)
        raise UpstreamFailed


def _retry_after(answer: Exchange) -> int:
    text = answer.headers.get(hdrs.RETRY_AFTER, "")
    return min(int(text), 3600) if text.isascii() and text.isdigit() and len(text) < 6 else 5  # noqa: PLR2004
