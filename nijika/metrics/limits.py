"""Calls that came too fast, wrong keys, and what counting them takes."""

from prometheus_client import Counter, Gauge

from nijika.metrics.registry import REGISTRY

REFUSALS = Counter(
    "nijika_limit_refusals_total",
    "Calls that a rule of a rate_limit refused, for their rate or for their concurrency.",
    ("rule", "per", "kind"),
    registry=REGISTRY,
)
ENTRIES = Gauge(
    "nijika_limit_entries",
    "Callers that the processes remember under a rule.",
    ("rule", "per", "kind"),
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
WRONG_KEYS = Counter(
    "nijika_wrong_keys_total",
    "Keys that are malformed, unknown, revoked or expired; those not counted that were refused without a look.",
    registry=REGISTRY,
)
REDIS_AWAY = Gauge(
    "nijika_limit_redis_away",
    "Redis servers that do not answer; as that process sees it that sees most of them.",
    multiprocess_mode="livemax",
    registry=REGISTRY,
)
