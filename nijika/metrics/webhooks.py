"""Messages to account holders' own servers."""

from prometheus_client import Counter, Gauge

from nijika.metrics.registry import REGISTRY

ATTEMPTS = Counter(
    "nijika_webhook_attempts_total",
    "Attempts to deliver a message: it arrived, it is tried again later, or it is given up.",
    ("outcome",),
    registry=REGISTRY,
)
WAITING = Gauge(
    "nijika_webhook_waiting_messages",
    "Messages that wait for their delivery, or for its next attempt, over all gateways on the same database.",
    multiprocess_mode="livemostrecent",
    registry=REGISTRY,
)
STOPPED = Counter(
    "nijika_webhooks_stopped_total",
    "Webhooks to which nothing is sent any more, because their servers do not take it, or do not want it.",
    ("reason",),
    registry=REGISTRY,
)
