"""What callers, worker and ledger noted of a run: all that the checker looks at."""

from dataclasses import dataclass
from typing import Literal

Ending = Literal["answered", "cut", "left", "gave up", "malformed"]
"""How an attempt ended for its caller: with a whole answer, by the gateway's breaking it off, by the caller's own
hanging up, by the caller's running out of patience, or with something that is not HTTP."""


@dataclass(frozen=True)
class Attempt:
    """One request, as its caller saw it; `token` names the call that it belongs to and stands in the body.

    `own`: the body of a complete 2xx belongs to this call. `charge` is the charge that a 409 names.
    """

    token: str
    ending: Ending
    keyed: bool = False
    status: int | None = None
    code: str | None = None
    request_id: str | None = None
    own: bool = True
    charge: str | None = None

    @property
    def is_success(self) -> bool:
        """Whether the caller has the whole result."""
        return self.ending == "answered" and self.status is not None and 200 <= self.status < 300

    @property
    def is_error(self) -> bool:
        """Whether the caller was told of a failure, even if not in full."""
        return self.status is not None and self.status >= 400

    @property
    def leaves_open(self) -> bool:
        """Whether the caller was told that the outcome is unknown, or could have been told so by what was cut off."""
        return self.code == "charge-unknown" or (self.status == 503 and self.code is None)


@dataclass(frozen=True)
class Work:
    """One request, as the worker saw it; `cost` is what it reported, in micro-credits, None if nothing usable.

    `uploaded`: the whole upload came. `finished`: it was a success, and the kernel took the whole answer.
    """

    request_id: str
    token: str | None
    uploaded: bool
    finished: bool
    cost: int | None


@dataclass(frozen=True)
class Charge:
    """One row of the ledger; amounts in micro-credits."""

    id: str
    route: str
    state: Literal["held", "captured", "refunded"]
    held: int
    captured: int
