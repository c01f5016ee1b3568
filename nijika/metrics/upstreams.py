"""Calls of workers, and how their places are doing."""

from collections import Counter as Numbers
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

from prometheus_client import Counter, Gauge, Histogram

from nijika.metrics.registry import REGISTRY, SECONDS

CALLS = Counter(
    "nijika_upstream_calls_total",
    'Calls of workers; the code is that of the problem with the worker, "-" where there was none.',
    ("upstream", "code"),
    registry=REGISTRY,
)
UPSTREAM_SECONDS = Histogram(
    "nijika_upstream_seconds",
    "What a call waited for its worker, and for nobody else.",
    ("upstream",),
    buckets=SECONDS,
    registry=REGISTRY,
)
SENT_BYTES = Counter(
    "nijika_upstream_sent_bytes_total", "Bytes of bodies that workers were sent.", ("upstream",), registry=REGISTRY
)
RECEIVED_BYTES = Counter(
    "nijika_upstream_received_bytes_total", "Bytes of bodies that workers sent.", ("upstream",), registry=REGISTRY
)
IN_FLIGHT = Gauge(
    "nijika_upstream_in_flight",
    "Exchanges with workers that are under way.",
    ("upstream",),
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
WAITING = Gauge(
    "nijika_upstream_waiting",
    "Calls that wait for room at an upstream, or for their turn by its pace.",
    ("upstream",),
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
PASSED_ON = Counter(
    "nijika_upstream_passed_on_total",
    "Calls of which nothing could be sent to an upstream, and that its fallback was asked for.",
    ("upstream", "fallback"),
    registry=REGISTRY,
)
PLACES = Gauge(
    "nijika_upstream_places",
    "Addresses of an upstream that are used, rest or are on trial; as that process sees it that sees most of them.",
    ("upstream", "state"),
    multiprocess_mode="livemax",
    registry=REGISTRY,
)
FAILING = Gauge(
    "nijika_upstream_failing_places",
    "Addresses of an upstream whose last exchange failed; as that process sees it that sees most of them.",
    ("upstream",),
    multiprocess_mode="livemax",
    registry=REGISTRY,
)

STATES = "ok", "resting", "trial"


def ended(upstream: str, code: str, seconds: float, sent_bytes: int, received_bytes: int) -> None:
    """One call is over: it has waited `seconds` for the worker, and so much of bodies went there and came back."""
    _calls(upstream, code).inc()
    counts = _upstream(upstream)
    counts.seconds.observe(seconds)
    if sent_bytes:
        counts.sent.inc(sent_bytes)
    if received_bytes:
        counts.received.inc(received_bytes)


def passed_on(upstream: str, fallback: str) -> None:
    """The fallback is asked in place of the upstream."""
    PASSED_ON.labels(upstream, fallback).inc()


def seen(upstream: str, places: Sequence[Mapping[str, object]], waiting: int) -> None:
    """How the places of an upstream are doing, as `Upstream.state` tells it, and how many calls wait for them."""
    states = Numbers(place["state"] for place in places)
    for state in STATES:
        PLACES.labels(upstream, state).set(states[state])
    IN_FLIGHT.labels(upstream).set(sum(place["in_flight"] for place in places if isinstance(place["in_flight"], int)))
    FAILING.labels(upstream).set(sum(bool(place["failure"]) for place in places))
    WAITING.labels(upstream).set(waiting)


class _Upstream(NamedTuple):
    seconds: Histogram
    sent: Counter
    received: Counter


@cache
def _calls(upstream: str, code: str) -> Counter:
    return CALLS.labels(upstream, code)


@cache
def _upstream(upstream: str) -> _Upstream:
    return _Upstream(UPSTREAM_SECONDS.labels(upstream), SENT_BYTES.labels(upstream), RECEIVED_BYTES.labels(upstream))
