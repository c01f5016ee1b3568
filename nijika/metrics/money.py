"""Holds and what became of them, as numbers of charges and in credits; and the batches in which the ledger writes them.

They count what this process has heard from the database. Who wants to know where the money is asks the ledger.
"""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

from nijika.metrics.registry import REGISTRY, SECONDS

HOLDS = Counter("nijika_holds_total", "Charges that were held.", ("route",), registry=REGISTRY)
HELD_CREDITS = Counter("nijika_held_credits_total", "Credits that were held.", ("route",), registry=REGISTRY)
CAPTURES = Counter("nijika_captures_total", "Charges that were captured.", ("route",), registry=REGISTRY)
CAPTURED_CREDITS = Counter("nijika_captured_credits_total", "Credits that were earned.", ("route",), registry=REGISTRY)
UNUSED_CREDITS = Counter(
    "nijika_unused_credits_total",
    "Credits that were given back from captured charges, because the call cost less than was held.",
    ("route",),
    registry=REGISTRY,
)
REFUNDS = Counter(
    "nijika_refunds_total", "Charges that were refunded, by the reason.", ("route", "reason"), registry=REGISTRY
)
REFUNDED_CREDITS = Counter(
    "nijika_refunded_credits_total", "Credits that were refunded.", ("route", "reason"), registry=REGISTRY
)
OPEN = Gauge(
    "nijika_charges_open",
    "Charges that are held and not settled.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
WAITING = Gauge(
    "nijika_ledger_waiting_orders",
    "Orders that wait for the ledger's next batch.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
BATCH_ORDERS = Histogram(
    "nijika_ledger_batch_orders",
    "Orders in one batch of the ledger.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 192),
    registry=REGISTRY,
)
BATCH_SECONDS = Histogram(
    "nijika_ledger_batch_seconds", "What a batch took until its commit.", buckets=SECONDS, registry=REGISTRY
)

_MICRO = 1_000_000


def held(route: str, amount: int) -> None:
    """`amount` micro-credits were held."""
    _of(HOLDS, route).inc()
    _of(HELD_CREDITS, route).inc(amount / _MICRO)


def captured(route: str, amount: int, unused: int) -> None:
    """`amount` micro-credits were earned, and `unused` ones of the hold given back."""
    _of(CAPTURES, route).inc()
    _of(CAPTURED_CREDITS, route).inc(amount / _MICRO)
    if unused > 0:
        _of(UNUSED_CREDITS, route).inc(unused / _MICRO)


def refunded(route: str, amount: int, reason: str) -> None:
    """A whole hold of `amount` micro-credits was given back."""
    _of(REFUNDS, route, reason).inc()
    _of(REFUNDED_CREDITS, route, reason).inc(amount / _MICRO)


def batch(orders: int, seconds: float) -> None:
    """The ledger has carried out so many at once."""
    BATCH_ORDERS.observe(orders)
    BATCH_SECONDS.observe(seconds)


@cache
def _of(counter: Counter, *labels: str) -> Counter:
    return counter.labels(*labels)
