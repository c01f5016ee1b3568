"""Send one request to a worker and get the head of its answer: through queue, failover and waking, or elsewhere."""

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack

from nijika import traces
from nijika.errors import CallerGone, Problem, UpstreamUnavailable
from nijika.metrics import upstreams
from nijika.proxy.answer import Awaited
from nijika.proxy.attempt import Outbound, attempt, follow, refuse_failures
from nijika.proxy.counted import Counted
from nijika.proxy.edge import refuse_foreign
from nijika.proxy.elsewhere import Elsewhere
from nijika.proxy.health import SERVICE_UNAVAILABLE
from nijika.proxy.http1.exchange import Exchange
from nijika.proxy.patience import Patience
from nijika.proxy.place import Place, Visit
from nijika.proxy.unsent import Unsent
from nijika.proxy.upstream import Upstream

log = logging.getLogger("nijika.upstream")


async def answer_of(
    stack: ExitStack, upstream: Upstream, outbound: Outbound, has_left: Callable[[], bool], elsewhere: Elsewhere
) -> Awaited:
    """The worker's answer, head read, body still to come; its status is neither 1xx, 5xx, 401, 407, 429 nor a redirect.

    It comes from the upstream, or from a fallback if nothing was sent before; `stack` ends what it needs. `has_left`
    tells whether the caller did; `elsewhere` is told what was waited for.
    Raises UpstreamFailed, UpstreamUnavailable, UpstreamTimeout, CallerGone, or what broke the caller's body.
    """
    try:
        with ExitStack() as own:
            answer = await _answer_at(own, upstream, outbound, has_left, elsewhere)
            stack.enter_context(own.pop_all())
            return answer
    except Unsent as unsent:
        if upstream.fallback is None:
            raise unsent.problem from None
    upstream.passed_on_total += 1
    upstreams.passed_on(upstream.name, upstream.fallback.name)
    log.warning("upstream %s: nothing could be sent, %s is asked", upstream.name, upstream.fallback.name)
    return await answer_of(stack, upstream.fallback, outbound, has_left, elsewhere)


async def _answer_at(
    stack: ExitStack, upstream: Upstream, outbound: Outbound, has_left: Callable[[], bool], elsewhere: Elsewhere
) -> Awaited:
    """The answer of this very upstream. Raises Unsent where another one may be asked instead."""
    patience = Patience(upstream.timing.total)
    counted = stack.enter_context(Counted(upstream, outbound.body, patience, elsewhere))
    span = stack.enter_context(traces.call(upstream.name, outbound.method))
    outbound = outbound.within(span.parent)
    place, answer = await _first(stack, counted, outbound, has_left)
    outbound.body.forget()
    stack.callback(answer.close)
    answer = await follow(upstream, place, answer, patience)
    stack.callback(answer.close)
    span.answered(answer.status, answer.url)
    try:
        refuse_failures(answer, outbound.method)
    except Problem:
        log.warning("upstream %s: answered %d", upstream.name, answer.status)
        raise
    counted.answer = Awaited(answer, outbound.body, patience, upstream.timing.idle)
    await refuse_foreign(counted.answer)
    return counted.answer


async def _first(
    stack: ExitStack, counted: Counted, outbound: Outbound, has_left: Callable[[], bool]
) -> tuple[Place, Exchange]:
    """The first place that somebody is at, and what it answers; `stack` keeps the visit there."""
    upstream, patience, tried = counted.upstream, counted.patience, set[Place]()
    while True:
        with ExitStack() as visiting:
            began = time.perf_counter()
            try:
                visit = visiting.enter_context(await upstream.visit(tried))
                if not tried:
                    await _start(upstream)
            finally:
                counted.queued(began)
            if has_left():
                raise CallerGone  # nothing was sent yet, and nobody wants it any more
            tried.add(visit.place)
            try:
                answer = await _ask(upstream, visit, outbound, patience)
            except Unsent:
                if len(tried) == len(upstream.places):
                    raise
                continue  # this one does not wake; another one may be awake
            if answer is not None:
                stack.enter_context(visiting.pop_all())
                return visit.place, answer


async def _start(upstream: Upstream) -> None:
    """Room comes before pace, so that what starts at that pace really starts."""
    try:
        await upstream.pace()
    except UpstreamUnavailable as problem:
        raise Unsent(problem) from None


async def _ask(upstream: Upstream, visit: Visit, outbound: Outbound, patience: Patience) -> Exchange | None:
    """One place's answer; None if nobody is there and another place may be asked."""
    if upstream.wake is None:
        return await attempt(upstream, visit, outbound, patience)
    if outbound.body.exists and not outbound.body.is_small and not visit.place.health.is_fresh:
        await _wake(upstream, visit.place, patience)
    answer = await attempt(upstream, visit, outbound, patience)
    if not outbound.body.is_replayable:
        return answer
    if answer is not None and answer.status != SERVICE_UNAVAILABLE:
        return answer
    if answer is None and (len(upstream.places) > 1 or upstream.fallback is not None):
        return None
    if answer is not None:
        answer.close()
    await _wake(upstream, visit.place, patience)
    return await attempt(upstream, visit, outbound, patience)


async def _wake(upstream: Upstream, place: Place, patience: Patience) -> None:
    """Called before a body is sent, or when it can be sent again: so if this fails, somebody else may have it."""
    assert upstream.wake is not None
    try:
        async with patience.limit(upstream.wake.seconds + 1):
            await upstream.ready(place)
    except Problem as problem:
        raise Unsent(problem) from None
