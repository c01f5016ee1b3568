"""One address of an upstream: where it is, how busy, and how each call there turns out."""

from yarl import URL

from nijika.proxy.health import Health, State
from nijika.proxy.http1.address import Address

UNAUTHORIZED = frozenset({401, 407})
"""What these refuse are the gateway's own credentials: a caller's never get here."""


class Place:
    """One base URL; `in_flight` counts its exchanges, of which it takes `in_flight_max` at once (None: any number).

    `last_turn` is for whoever wants to spread calls among places that are equally busy.
    """

    def __init__(self, base: str, health: Health, in_flight_max: int | None = None) -> None:
        self.base = base.rstrip("/")
        self.health = health
        self.in_flight = 0
        self.last_turn = -1
        self._path = Address.of(self.base).path
        self._in_flight_max = in_flight_max

    @property
    def has_room(self) -> bool:
        """Whether one more call may go there now."""
        return self._in_flight_max is None or self.in_flight < self._in_flight_max

    @property
    def state(self) -> State:
        """Whether it is asked: "ok", "resting", or "trial" until one call has shown how it is."""
        return self.health.state

    @property
    def failure(self) -> str:
        """Its last fault in words; "" when fine."""
        return self.health.failure

    @property
    def failures_total(self) -> int:
        """How many calls have failed there, not by their callers' fault."""
        return self.health.failures_total

    @property
    def rests_total(self) -> int:
        """How often it was sent to rest."""
        return self.health.rests_total

    def target(self, below: str) -> str:
        """Where `below` (path and query, in wire form) lies at its origin."""
        return self._path + below

    def holds(self, url: URL) -> bool:
        """Whether `url` lies below the base. Raises ValueError for one that has no origin."""
        base = URL(self.base, encoded=True)
        return url.origin() == base.origin() and url.raw_path.startswith(base.raw_path.rstrip("/") + "/")


class Visit:
    """One call at `place`, which is busy by one more until `leave`; whoever sends it tells here what it met."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._is_over = False
        self._since = place.rests_total
        place.in_flight += 1
        place.health.begin(self)

    def leave(self) -> None:
        """Make room for another one, if that was not done."""
        if self._is_over:
            return
        self._is_over = True
        self.place.in_flight -= 1
        self.place.health.end(self)

    def asks(self) -> None:
        """Something is sent: what is told from here on is about the time since."""
        self._since = self.place.rests_total

    def answered(self, status: int) -> None:
        """The head of an answer came."""
        self.place.health.answered(status, self._since)

    def failed(self, failure: str, *, hangs: bool = False) -> None:
        """It broke off without an answer, or none came in time."""
        self.place.health.failed(failure, self._since, hangs=hangs)

    def unreachable(self, failure: str, *, hangs: bool = False) -> None:
        """No connection came about."""
        self.place.health.unreachable(failure, self._since, hangs=hangs)


def base_url(text: str) -> str:
    """`text` if it can be a place's base: http or https, a host, perhaps a path; ValueError, a sentence, if not."""
    try:
        url = URL(text)
        port_is_valid = url.port is not None
    except ValueError:
        port_is_valid = False
    if (
        not port_is_valid
        or url.scheme not in {"http", "https"}
        or not url.host
        or url.query_string
        or url.fragment
        or url.user
    ):
        raise ValueError(f'"{text}" must be an address such as "http://127.0.0.1:8001"')
    return text
