"""When an address rests, how long, and how it comes back; by a clock that stands still until it is moved."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nijika.proxy.health import Health, Rest
from nijika.proxy.place import Place, Visit
from tests.proxy.clock import Clock

REST = Rest(failures=3, seconds=1, seconds_max=8)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def place(clock: Clock) -> Place:
    return Place("http://worker", Health("http://worker", REST, clock=clock))


def fail(place: Place, times: int = 1, *, hangs: bool = False) -> None:
    for _ in range(times):
        visit = Visit(place)
        visit.failed("reset", hangs=hangs)
        visit.leave()


def succeed(place: Place, status: int = 200) -> None:
    visit = Visit(place)
    visit.answered(status)
    visit.leave()


def rest(place: Place) -> None:
    visit = Visit(place)
    visit.unreachable("nobody is there")
    visit.leave()


def test_who_cannot_be_connected_to_rests_at_once(place: Place) -> None:
    rest(place)

    assert (place.state, place.failure, place.failures_total, place.rests_total) == ("resting", "nobody is there", 1, 1)


def test_only_failures_in_a_row_send_to_rest(place: Place) -> None:
    for _ in range(5):
        fail(place, 2)
        succeed(place)
    states = []
    for _ in range(3):
        fail(place)
        states.append(place.state)

    assert states == ["ok", "ok", "resting"]
    assert (place.failures_total, place.rests_total) == (13, 1)


@pytest.mark.parametrize("status", [500, 502, 504, 507, 520, 599])
def test_an_answer_that_tells_of_a_broken_worker_counts(place: Place, status: int) -> None:
    for _ in range(3):
        succeed(place, status)

    assert (place.state, place.failure) == ("resting", f"answers {status}")


@pytest.mark.parametrize("status", [200, 204, 303, 304, 400, 401, 404, 408, 422, 429, 501, 505])
def test_any_other_answer_shows_that_somebody_works_there(place: Place, status: int) -> None:
    fail(place, 2)
    succeed(place, status)
    fail(place, 2)

    assert place.state == "ok"


def test_503_means_not_now_and_says_neither_good_nor_bad(place: Place) -> None:
    for _ in range(10):
        succeed(place, 503)
    fail(place, 2)
    succeed(place, 503)
    words = place.failure
    fail(place)

    assert (words, place.state, place.rests_total) == ("answers 503", "resting", 1)


def test_rests_grow_with_each_failed_trial_up_to_a_bound_and_begin_anew_after_a_success(
    place: Place, clock: Clock
) -> None:
    def rests(count: int) -> list[float]:
        lengths = []
        for _ in range(count):
            rest(place)
            lengths.append(place.health.rest_left)
            clock.now += place.health.rest_left
        return lengths

    growing = rests(6)
    succeed(place)
    after = rests(2)

    assert (growing, after) == ([1, 2, 4, 8, 8, 8], [1, 2])


def test_when_its_rest_is_over_it_is_on_trial_until_one_call_has_answered(place: Place, clock: Clock) -> None:
    fail(place, 3)
    resting = place.state
    clock.now += 1
    due = place.state, place.health.is_tried
    trial = Visit(place)
    under_way = place.state, place.health.is_tried
    trial.answered(200)

    assert (resting, due, under_way) == ("resting", ("trial", False), ("trial", True))
    assert (place.state, place.failure, place.in_flight) == ("ok", "", 1)


def test_one_failure_of_the_trial_is_enough(place: Place, clock: Clock) -> None:
    fail(place, 3)
    clock.now += 1

    fail(place)

    assert (place.state, place.health.rest_left, place.rests_total) == ("resting", 2, 2)


@pytest.mark.parametrize("status", [None, 503], ids=["no word", "503"])
def test_a_trial_that_shows_nothing_leaves_its_turn_to_the_next_call(
    place: Place, clock: Clock, status: int | None
) -> None:
    fail(place, 3)
    clock.now += 1
    trial = Visit(place)
    if status is not None:
        trial.answered(status)

    trial.leave()

    assert (place.state, place.health.is_tried) == ("trial", False)
    succeed(place)
    assert place.state == "ok"


def test_a_call_that_was_sent_before_the_rest_says_nothing_of_the_time_after_it(place: Place, clock: Clock) -> None:
    good, bad, late = Visit(place), Visit(place), Visit(place)
    fail(place, 3)
    good.answered(200)
    state = place.state
    clock.now += 1
    bad.failed("took too long")
    due = place.state
    succeed(place)
    for _ in range(3):
        late.failed("took too long")

    assert (state, due, place.state) == ("resting", "trial", "ok")
    assert (place.failures_total, place.rests_total) == (7, 1)


def test_a_call_that_is_sent_anew_speaks_of_the_time_since(place: Place) -> None:
    visit = Visit(place)
    visit.unreachable("nobody is there")

    visit.asks()
    visit.answered(200)

    assert place.state == "ok"


def test_failures_within_a_rest_do_not_make_it_longer(place: Place, clock: Clock) -> None:
    rest(place)
    clock.now += 0.5

    rest(place)
    fail(place, 5)

    assert (place.health.rest_left, place.rests_total, place.failures_total) == (0.5, 1, 7)


def test_whether_it_keeps_callers_waiting_is_known_from_its_last_failure(place: Place) -> None:
    told = []
    for hangs in (True, False, True):
        fail(place, 3, hangs=hangs)
        told.append(place.health.hangs)
    succeed(place)

    assert (told, place.health.hangs) == ([True, False, True], False)


def test_a_good_check_ends_the_rest_of_who_was_not_there(place: Place) -> None:
    rest(place)

    place.health.passed_check()

    assert (place.state, place.failure) == ("ok", "")


def test_a_good_check_lets_one_call_try_where_calls_have_failed(place: Place) -> None:
    fail(place, 3)

    place.health.passed_check()

    assert (place.state, place.health.is_tried) == ("trial", False)


def test_failed_checks_are_good_until_the_next_one(place: Place, clock: Clock) -> None:
    for _ in range(3):
        place.health.failed_checks("answers 500 to /health", 10, hangs=False)
        clock.now += 9
    still = place.state
    clock.now += 1

    assert (still, place.state, place.rests_total) == ("resting", "trial", 1)
    place.health.passed_check()
    assert place.state == "ok"


def test_whoever_waits_is_told_when_it_may_be_asked_anew(clock: Clock) -> None:
    told: list[float] = []
    place = Place("http://worker", Health("http://worker", REST, clock=clock, changed=told.append))

    rest(place)
    clock.now += 1
    succeed(place)

    assert told == [0, 1, 0]


class Life(RuleBasedStateMachine):
    """Whatever calls, checks and time do: a rest is bounded, and there is always a way back to good health."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.place = Place("http://worker", Health("http://worker", REST, clock=self.clock))
        self.visits: list[Visit] = []

    @rule()
    def call(self) -> None:
        self.visits.append(Visit(self.place))

    @precondition(lambda self: self.visits)
    @rule(data=st.data(), word=st.sampled_from(["200", "500", "503", "failed", "unreachable", "nothing"]))
    def end(self, data: st.DataObject, word: str) -> None:
        visit = self.visits.pop(data.draw(st.integers(0, len(self.visits) - 1)))
        if word.isdigit():
            visit.answered(int(word))
        elif word == "failed":
            visit.failed("reset", hangs=data.draw(st.booleans()))
        elif word == "unreachable":
            visit.unreachable("nobody is there")
        visit.leave()

    @rule(seconds=st.floats(0, 10))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(is_good=st.booleans())
    def check(self, is_good: bool) -> None:
        if is_good:
            self.place.health.passed_check()
        else:
            self.place.health.failed_checks("answers 500 to /health", 3, hangs=False)

    @invariant()
    def a_rest_is_bounded(self) -> None:
        assert self.place.health.rest_left <= REST.seconds_max

    @invariant()
    def the_calls_are_counted(self) -> None:
        assert self.place.in_flight == len(self.visits)

    @invariant()
    def nobody_is_on_trial_but_a_call_that_is_under_way(self) -> None:
        assert self.visits or not self.place.health.is_tried

    def teardown(self) -> None:
        for visit in self.visits:
            visit.leave()
        self.clock.now += REST.seconds_max
        assert self.place.state in {"ok", "trial"}
        succeed(self.place)
        assert self.place.state == "ok"


test_there_is_always_a_way_back_to_good_health = Life.TestCase
