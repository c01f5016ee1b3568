"""The promises about money, each a rule that looks for violations in the records of a run; no I/O."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tests.crash.plan import Price
from tests.crash.records import Attempt, Charge, Work


@dataclass(frozen=True)
class Evidence:
    """All that was noted, and what the routes cost."""

    attempts: Sequence[Attempt]
    works: Sequence[Work]
    charges: Sequence[Charge]
    prices: Mapping[str, Price]

    @cached_property
    def charge(self) -> dict[str, Charge]:
        """Each charge by its id."""
        return {charge.id: charge for charge in self.charges}

    @cached_property
    def finished(self) -> dict[str, list[Work]]:
        """What the worker finished, by request id."""
        found = defaultdict(list)
        for work in self.works:
            if work.finished and work.uploaded:
                found[work.request_id].append(work)
        return dict(found)

    @cached_property
    def requests(self) -> dict[str, set[str]]:
        """The ids of all requests of each call, by its token."""
        found = defaultdict(set)
        records: list[Attempt | Work] = [*self.attempts, *self.works]
        for record in records:
            if record.token is not None and record.request_id is not None:
                found[record.token].add(record.request_id)
        return dict(found)

    @cached_property
    def token(self) -> dict[str, str]:
        """The token of each request's call."""
        return {request: token for token, requests in self.requests.items() for request in requests}

    def captured(self, id: str | None) -> Charge | None:
        """The charge of a request, if it was captured."""
        charge = self.charge.get(id or "")
        return charge if charge is not None and charge.state == "captured" else None

    def of_call(self, token: str) -> list[Charge]:
        """The captured charges of all requests of a call."""
        requests = sorted(self.requests.get(token, ()))
        return [charge for request in requests if (charge := self.captured(request)) is not None]


def answers_are_sound(evidence: Evidence) -> Iterator[str]:
    for attempt in evidence.attempts:
        if attempt.ending == "malformed" or attempt.code == "internal-error":
            yield f"{attempt.request_id or attempt.token}: {attempt.code or 'not HTTP'}"
        if attempt.is_success and not attempt.own:
            yield f"{attempt.request_id} brought another call's result"


def successes_are_captured(evidence: Evidence) -> Iterator[str]:
    for attempt in evidence.attempts:
        if attempt.is_success and evidence.captured(attempt.request_id) is None:
            charge = evidence.charge.get(attempt.request_id or "")
            yield f"{attempt.request_id} is {charge.state if charge else 'no charge'}"


def captured_is_finished(evidence: Evidence) -> Iterator[str]:
    for charge in evidence.charges:
        if charge.state == "captured" and charge.id not in evidence.finished:
            yield charge.id


def errors_are_free(evidence: Evidence) -> Iterator[str]:
    for attempt in evidence.attempts:
        if attempt.is_error and not attempt.leaves_open and evidence.captured(attempt.request_id) is not None:
            yield f"{attempt.request_id} after {attempt.status} {attempt.code}"


def nothing_stays_held(evidence: Evidence) -> Iterator[str]:
    for charge in evidence.charges:
        if charge.state == "held":
            yield charge.id


def a_call_is_paid_once(evidence: Evidence) -> Iterator[str]:
    for token in sorted({attempt.token for attempt in evidence.attempts if attempt.keyed}):
        paid = [charge.id for charge in evidence.of_call(token) if charge.captured > 0]
        if len(paid) > 1:
            yield f"{token}: {', '.join(paid)}"
    for attempt in evidence.attempts:
        if attempt.charge is not None and attempt.charge not in {of.id for of in evidence.of_call(attempt.token)}:
            yield f"{attempt.token}: 409 names {attempt.charge}"


def amounts_are_right(evidence: Evidence) -> Iterator[str]:
    for charge in evidence.charges:
        if charge.state != "captured":
            if charge.captured != 0:
                yield f"{charge.id} is {charge.state}, and {charge.captured} were captured"
        elif charge.held == 0:
            if charge.captured != 0 or not _was_paid(charge, evidence):
                yield f"{charge.id} is no free run of a call that was paid for"
        elif charge.held != evidence.prices[charge.route].hold or charge.captured not in _due(charge, evidence):
            yield f"{charge.id} captured {charge.captured} of {charge.held}"


def _was_paid(charge: Charge, evidence: Evidence) -> bool:
    token = evidence.token.get(charge.id)
    return token is not None and any(other.held > 0 for other in evidence.of_call(token))


def _due(charge: Charge, evidence: Evidence) -> set[int]:
    """What may have been captured; nothing speaks against any amount where the worker knows of no finished work."""
    price = evidence.prices[charge.route]
    works = evidence.finished.get(charge.id)
    if works is None:
        return {charge.captured}
    return {work.cost if price.metered and work.cost is not None else price.hold for work in works}


RULES: Mapping[str, tuple[str, Callable[[Evidence], Iterator[str]]]] = {
    "E0": ("answers are sound", answers_are_sound),
    "E1": ("a complete success is captured", successes_are_captured),
    "E2": ("captured is finished work", captured_is_finished),
    "E3": ("an error costs nothing", errors_are_free),
    "E4": ("nothing stays held", nothing_stays_held),
    "E5": ("an Idempotency-Key is paid once", a_call_is_paid_once),
    "E6": ("amounts are right", amounts_are_right),
}
"""Each rule in words, and the function that yields its violations."""


def violations(evidence: Evidence) -> dict[str, list[str]]:
    """The violations of each rule, by its short name; each begins with the id of a request or a call's token."""
    return {name: list(rule(evidence)) for name, (_, rule) in RULES.items()}
