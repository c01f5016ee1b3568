"""Connections to PostgreSQL, and the time that is spent in waiting for one."""

from prometheus_client import Gauge, Histogram

from nijika.metrics.registry import REGISTRY, SECONDS

CONNECTIONS = Gauge(
    "nijika_database_connections",
    "Connections to the database.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
CONNECTIONS_USED = Gauge(
    "nijika_database_connections_used",
    "Those of them that are in use, the ledger's own one included.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
CONNECTIONS_MAX = Gauge(
    "nijika_database_connections_max",
    "How many connections there may be.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
WAIT_SECONDS = Histogram(
    "nijika_database_wait_seconds",
    "Waiting for a connection, whether it came or not.",
    buckets=SECONDS,
    registry=REGISTRY,
)


def seen(connections: int, used: int, most: int) -> None:
    """How the pool is doing."""
    CONNECTIONS.set(connections)
    CONNECTIONS_USED.set(used)
    CONNECTIONS_MAX.set(most)
