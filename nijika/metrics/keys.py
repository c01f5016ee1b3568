"""Keys that callers send: how many of them need the database, and whether it is heard at once when they change."""

from prometheus_client import Counter, Gauge

from nijika.metrics.registry import REGISTRY, Total

_LOOKUPS = Counter(
    "nijika_key_lookups_total",
    "Keys in good form that callers sent: those that were remembered, and those that the database was asked for.",
    ("outcome",),
    registry=REGISTRY,
)
REMEMBERED = Gauge(
    "nijika_keys_remembered",
    "Keys that the processes remember; one that several of them know counts for each.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
LISTENER_AWAY = Gauge(
    "nijika_key_listener_away",
    "Processes that do not hear at once when a key is revoked, although they should.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)


class Lookups:
    """The lookups of one keyring."""

    def __init__(self) -> None:
        self._remembered = Total(_LOOKUPS.labels("remembered"))
        self._asked = Total(_LOOKUPS.labels("asked"))

    def seen(self, remembered: int, asked: int) -> None:
        """So many there were in all."""
        self._remembered.seen(remembered)
        self._asked.seen(asked)
