"""The checker finds what it is there to find: in doctored records, and in runs with a broken ledger."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from nijika.credits import MICRO
from tests.crash.checker import RULES, Evidence, violations
from tests.crash.plan import PRICES, Plan
from tests.crash.records import Attempt, Charge, Work
from tests.crash.run import run

SUCCESS = Attempt("call", "answered", keyed=True, status=200, request_id="a")
WORK = Work("a", "call", uploaded=True, finished=True, cost=None)
CAPTURED = Charge("a", "/api/plain", "captured", held=MICRO, captured=MICRO)
REFUNDED = replace(CAPTURED, state="refunded", captured=0)
METERED = replace(CAPTURED, route="/api/metered", held=2 * MICRO, captured=MICRO // 2)
FREE_RUN = replace(CAPTURED, id="b", held=0, captured=0)


def broken(
    *,
    attempts: Sequence[Attempt] = (SUCCESS,),
    works: Sequence[Work] = (WORK,),
    charges: Sequence[Charge] = (CAPTURED,),
) -> set[str]:
    """The rules that do not hold; one good call unless told otherwise."""
    return {name for name, found in violations(Evidence(attempts, works, charges, PRICES)).items() if found}


def error(status: int, code: str | None) -> Attempt:
    return replace(SUCCESS, status=status, code=code)


GOOD = {
    "a success that is charged": broken(),
    "a caller who left before the charge": broken(attempts=[Attempt("call", "left")]),
    "a success that was cut, and refunded": broken(
        attempts=[replace(SUCCESS, ending="cut")], works=[replace(WORK, finished=False)], charges=[REFUNDED]
    ),
    "a failure that is refunded": broken(
        attempts=[error(502, "upstream-failed")], works=[replace(WORK, finished=False)], charges=[REFUNDED]
    ),
    "no credit, no charge": broken(attempts=[error(402, "insufficient-credits")], works=[], charges=[]),
    "an outcome that was said to be unknown": broken(attempts=[error(503, "charge-unknown")]),
    "what the worker reported": broken(works=[replace(WORK, cost=MICRO // 2)], charges=[METERED]),
    "the whole hold where it reported nothing usable": broken(charges=[replace(METERED, captured=2 * MICRO)]),
    "one free run of a call that was paid for": broken(
        attempts=[replace(SUCCESS, ending="cut"), replace(SUCCESS, request_id="b")],
        works=[WORK, replace(WORK, request_id="b")],
        charges=[CAPTURED, FREE_RUN],
    ),
    "a second try after a refund": broken(
        attempts=[error(502, "upstream-failed"), replace(SUCCESS, request_id="b")],
        works=[replace(WORK, finished=False), replace(WORK, request_id="b")],
        charges=[REFUNDED, replace(CAPTURED, id="b")],
    ),
    "a conflict with the charge of the same call": broken(
        attempts=[SUCCESS, replace(error(409, "already-done"), request_id="b", charge="a")]
    ),
}

BAD = {
    "a success without a charge": ("E1", broken(charges=[])),
    "a success that was refunded": ("E1", broken(charges=[REFUNDED])),
    "the result of another call": ("E0", broken(attempts=[replace(SUCCESS, own=False)])),
    "bytes that are not HTTP": ("E0", broken(attempts=[Attempt("call", "malformed")])),
    "a mistake of the gateway's own": ("E0", broken(attempts=[error(500, "internal-error")])),
    "charged, and the worker knows nothing of it": ("E2", broken(works=[])),
    "charged, and the worker failed": ("E2", broken(works=[replace(WORK, finished=False)])),
    "charged for half an upload": ("E2", broken(works=[replace(WORK, uploaded=False)])),
    "an error that is charged": ("E3", broken(attempts=[error(502, "upstream-failed")])),
    "a broken-off error that is charged": ("E3", broken(attempts=[replace(error(502, None), ending="cut")])),
    "still held": ("E4", broken(attempts=[], charges=[replace(REFUNDED, state="held")])),
    "paid twice under one key": (
        "E5",
        broken(
            attempts=[replace(SUCCESS, ending="cut"), replace(SUCCESS, request_id="b")],
            works=[WORK, replace(WORK, request_id="b")],
            charges=[CAPTURED, replace(CAPTURED, id="b")],
        ),
    ),
    "paid twice, and the caller never saw the first": (
        "E5",
        broken(
            attempts=[Attempt("call", "left", keyed=True), replace(SUCCESS, request_id="b")],
            works=[WORK, replace(WORK, request_id="b")],
            charges=[CAPTURED, replace(CAPTURED, id="b")],
        ),
    ),
    "a conflict with a charge that was refunded": (
        "E5",
        broken(attempts=[replace(error(409, "already-done"), request_id="b", charge="a")], charges=[REFUNDED]),
    ),
    "less than the price": ("E6", broken(charges=[replace(CAPTURED, captured=MICRO // 2)])),
    "held another amount than the price": ("E6", broken(charges=[replace(CAPTURED, held=2 * MICRO)])),
    "not what the worker reported": ("E6", broken(works=[replace(WORK, cost=MICRO)], charges=[METERED])),
    "a report on a route with a plain price": (
        "E6",
        broken(works=[replace(WORK, cost=MICRO // 2)], charges=[replace(CAPTURED, captured=MICRO // 2)]),
    ),
    "a refund that kept something": (
        "E6",
        broken(attempts=[], charges=[replace(REFUNDED, captured=1)]),
    ),
    "a free run of nothing": ("E6", broken(charges=[replace(FREE_RUN, id="a")])),
    "a free run that cost something": ("E6", broken(charges=[CAPTURED, replace(FREE_RUN, captured=1)])),
}


@pytest.mark.parametrize("found", GOOD.values(), ids=GOOD)
def test_nothing_is_said_against(found: set[str]) -> None:
    assert found == set()


@pytest.mark.parametrize(("rule", "found"), BAD.values(), ids=BAD)
def test_a_rule_finds(rule: str, found: set[str]) -> None:
    assert rule in found


def test_every_rule_is_tried() -> None:
    assert {rule for rule, _ in BAD.values()} == set(RULES)


SHORT = Plan(
    seed=1,
    seconds=1,
    answers_min=40,
    gateways=1,
    callers=16,
    durable=False,
    deck=(),
    gap_seconds=(1.5, 1.5),
    sweep_seconds=4,
)


def test_a_sound_ledger_raises_no_alarm(tmp_path: Path) -> None:
    report = run(SHORT, tmp_path)

    assert report.is_good, str(report)


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (replace(SHORT, broken="deliver-first", deck=("kill",), seconds=2), {"E1"}),
        (replace(SHORT, broken="capture-failures"), {"E2", "E3"}),
        (replace(SHORT, broken="never-settles"), {"E1", "E4"}),
        (replace(SHORT, broken="forgetful", keyed_share=1, seconds=2, answers_min=120), {"E5"}),
        (replace(SHORT, broken="half-price"), {"E6"}),
        (replace(SHORT, broken="double"), {"spent is the sum captured", "balances are the replay of the journal"}),
    ],
    ids=lambda value: value.broken if isinstance(value, Plan) else "",
)
def test_a_broken_ledger_is_found(plan: Plan, expected: set[str], tmp_path: Path) -> None:
    report = run(plan, tmp_path)

    assert report.broken_rules >= expected, str(report)
