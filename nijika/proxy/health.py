"""Whether an address is asked: one that fails rests, longer each time, and comes back by one call that tries it.

The pattern is known as a circuit breaker; what is half-open there is on trial here.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "resting", "trial"]

FRESH_SECONDS = 10.0
"""A worker that answered well this recently has not been scaled to zero."""

SERVICE_UNAVAILABLE = 503

_JUDGE_THE_REQUEST = frozenset({501, 505})

log = logging.getLogger("nijika.upstream")


@dataclass(frozen=True)
class Rest:
    """After `failures` in a row an address rests for `seconds`, and twice as long each time, up to `seconds_max`.

    A trial of more than `trial_seconds` keeps others away no longer: it is its caller who is slow, with an upload that
    may take an hour.
    """

    failures: int = 5
    seconds: float = 1.0
    seconds_max: float = 30.0
    trial_seconds: float = 160.0

    def length(self, number: int) -> float:
        """Seconds of the rest with this number, counted from 1 since the last success."""
        return min(self.seconds * 2.0 ** min(number - 1, 32), self.seconds_max)


class Health:
    """What calls have met at one address, `name` in the log.

    `failure` is the last fault in words ("" when fine), `hangs` tells whether it kept its caller waiting. `changed` is
    told in how many seconds the address may be asked anew, whenever that changes. What a call tells counts only if it
    was asked after the last rest began, so each says `since` which one that was (`rests_total` at that time).
    """

    def __init__(
        self,
        name: str,
        rest: Rest = Rest(),
        *,
        changed: Callable[[float], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failure = ""
        self.hangs = False
        self.failures_total = 0
        self.rests_total = 0
        self._name = name
        self._rest = rest
        self._changed = changed
        self._clock = clock
        self._failures = 0  # in a row
        self._rests = 0  # in a row, too; none means that all is well
        self._until = 0.0
        self._fresh_until = 0.0
        self._trial: object | None = None
        self._tried_until = 0.0
        self._failed_calls = False  # whether it was those that sent it to rest

    @property
    def state(self) -> State:
        """On trial is an address whose rest is over, or which is asked although it rests, until an answer came."""
        if self._rests == 0:
            return "ok"
        return "resting" if self._trial is None and self.rest_left > 0 else "trial"

    @property
    def rest_left(self) -> float:
        """Seconds; 0 for an address that does not rest."""
        return max(self._until - self._clock(), 0.0) if self._rests else 0.0

    @property
    def is_tried(self) -> bool:
        """Whether a trial is under way, and no other one is due yet."""
        return self._trial is not None and self._clock() < self._tried_until

    @property
    def is_fresh(self) -> bool:
        """Whether it answered well a moment ago."""
        return self._clock() < self._fresh_until

    def begin(self, call: object) -> None:
        """A call goes there; it is the trial if one is due."""
        if self._rests and not self.is_tried:
            self._trial = call
            self._tried_until = self._clock() + self._rest.trial_seconds

    def end(self, call: object) -> None:
        """The call is over. A trial that ended without a word leaves its turn to the next call."""
        if self._trial is call:
            self._trial = None

    def answered(self, status: int, since: int) -> None:
        """The head of an answer came. Who says 5xx fails, but 503 means not now, and 501 and 505 judge the request."""
        if status == SERVICE_UNAVAILABLE:
            self.failure = "answers 503"
            self._fresh_until = 0.0
            self.hangs = False
        elif status >= 500 and status not in _JUDGE_THE_REQUEST:  # noqa: PLR2004 (5xx)
            self.failed(f"answers {status}", since)
        else:
            self._fresh_until = self._clock() + FRESH_SECONDS
            if since == self.rests_total:
                self._recover()

    def failed(self, failure: str, since: int, *, hangs: bool = False) -> None:
        """A call failed there, and not by its caller's fault: several in a row, or a trial, send it to rest."""
        if self._counts(failure, since, hangs=hangs) and (self._rests or self._failures >= self._rest.failures):
            self._lie_down(failed_calls=True)

    def unreachable(self, failure: str, since: int, *, hangs: bool = False) -> None:
        """Nobody is there: it rests at once."""
        self._fresh_until = 0.0
        if self._counts(failure, since, hangs=hangs):
            self._lie_down(failed_calls=False)

    def passed_check(self) -> None:
        """It says of itself that it is well. If calls failed there, one of them has to prove it."""
        if self._rests and self._failed_calls:
            self._until = min(self._until, self._clock())
            self._changed(0)
        elif self._rests:
            self._recover()

    def failed_checks(self, failure: str, seconds: float, *, hangs: bool) -> None:
        """It says of itself that it is not well, or nothing; this is good for `seconds`."""
        self.failure, self.hangs = failure, hangs
        was_well = self._rests == 0
        if was_well:
            self._failed_calls = False
            self._rests = 1
            self.rests_total += 1
        self._until = max(self._until, self._clock() + seconds)
        self._changed(0)
        if was_well:
            log.warning("%s fails its checks and rests: %s", self._name, failure)

    def _counts(self, failure: str, since: int, *, hangs: bool) -> bool:
        self.failures_total += 1
        self.failure = failure
        if since != self.rests_total:
            return False
        self.hangs = hangs
        self._failures += 1
        return True

    def _lie_down(self, *, failed_calls: bool) -> None:
        if self.rest_left > 0:
            return  # it was asked all the same
        self._failed_calls = failed_calls
        self._rests += 1
        self.rests_total += 1
        self._trial = None
        seconds = self._rest.length(self._rests)
        self._until = self._clock() + seconds
        self._changed(0)
        self._changed(seconds)
        log.warning("%s rests for %g s: %s", self._name, seconds, self.failure)

    def _recover(self) -> None:
        was_well = self._rests == 0
        self.failure, self.hangs = "", False
        self._failures = self._rests = 0
        self._trial = None
        if not was_well:
            self._changed(0)
            log.warning("%s is back", self._name)
