"""Requests, by the route that they took; and the connections on which they come."""

from functools import cache
from typing import NamedTuple

from prometheus_client import Counter, Gauge, Histogram

from nijika.metrics.registry import NOTHING, REGISTRY, SECONDS

REQUESTS = Counter(
    "nijika_requests_total",
    "Requests that are over, by route, method, status and the code of the problem that the caller was told of.",
    ("route", "method", "status", "code"),
    registry=REGISTRY,
)
REQUEST_SECONDS = Histogram(
    "nijika_request_seconds",
    "From the head of a request to the end of its answer, the time of worker and caller included.",
    ("route",),
    buckets=SECONDS,
    registry=REGISTRY,
)
GATEWAY_SECONDS = Histogram(
    "nijika_gateway_seconds",
    "What the gateway itself took of it: without waiting for the worker, for a body, or for a caller to read.",
    ("route",),
    buckets=SECONDS,
    registry=REGISTRY,
)
RECEIVED_BYTES = Counter(
    "nijika_received_bytes_total", "Bytes of bodies that callers sent.", ("route",), registry=REGISTRY
)
SENT_BYTES = Counter(
    "nijika_sent_bytes_total", "Bytes that callers were sent, heads included.", ("route",), registry=REGISTRY
)
CONNECTIONS = Gauge(
    "nijika_connections_open", "Connections of callers.", multiprocess_mode="livesum", registry=REGISTRY
)


class Spent(NamedTuple):
    """What one request took: `seconds` in all, of which `own_seconds` by the gateway itself; bytes both ways."""

    seconds: float
    own_seconds: float
    received_bytes: int
    sent_bytes: int


def ended(route: str, method: str, status: int, code: str, spent: Spent) -> None:
    """One request is over."""
    _outcome(route, method, status, code).inc()
    counts = _route(route)
    counts.seconds.observe(spent.seconds)
    counts.own_seconds.observe(spent.own_seconds)
    if spent.received_bytes:
        counts.received.inc(spent.received_bytes)
    counts.sent.inc(spent.sent_bytes)


def refused(status: int, code: str, sent_bytes: int) -> None:
    """What came was no request, or not all of one."""
    _outcome(NOTHING, NOTHING, status, code).inc()
    _route(NOTHING).sent.inc(sent_bytes)


class _Route(NamedTuple):
    seconds: Histogram
    own_seconds: Histogram
    received: Counter
    sent: Counter


@cache
def _outcome(route: str, method: str, status: int, code: str) -> Counter:
    return REQUESTS.labels(route, method, status, code)


@cache
def _route(route: str) -> _Route:
    return _Route(
        REQUEST_SECONDS.labels(route),
        GATEWAY_SECONDS.labels(route),
        RECEIVED_BYTES.labels(route),
        SENT_BYTES.labels(route),
    )
