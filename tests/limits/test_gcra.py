"""GCRA in memory: how many calls pass, what a refused caller is told, and how few callers are remembered."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nijika.limits.gcra import Decision, Memory, Rate

SECOND = 1_000_000_000
RATES = st.builds(Rate, st.integers(1, 50), st.sampled_from([1, 60, 3600]), st.integers(1, 40))


class Clock:
    """Stands still until the test moves it; nanoseconds."""

    def __init__(self, now: int = 1_000_000 * SECOND) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def memory(clock: Clock, count: int, seconds: int, burst: int, *, entries_max: int = 100) -> Memory:
    return Memory(Rate(count, seconds, burst), entries_max=entries_max, clock=clock)


def passed(limiter: Memory, caller: str, calls: int) -> int:
    return sum(limiter.take(caller).passes for _ in range(calls))


def test_a_burst_passes_at_once_and_no_call_more(clock: Clock) -> None:
    limiter = memory(clock, 5, 1, 10)

    assert passed(limiter, "a", 30) == 10


def test_after_a_burst_calls_pass_at_the_rate(clock: Clock) -> None:
    limiter = memory(clock, 5, 1, 10)
    passed(limiter, "a", 10)

    counts = []
    for _ in range(10):
        clock.wait(0.2)
        counts.append(passed(limiter, "a", 3))

    assert counts == [1] * 10


def test_a_rested_caller_has_its_burst_again_and_not_more(clock: Clock) -> None:
    limiter = memory(clock, 5, 1, 10)
    passed(limiter, "a", 10)

    clock.wait(3600)

    assert passed(limiter, "a", 30) == 10


def test_callers_do_not_count_for_each_other(clock: Clock) -> None:
    limiter = memory(clock, 1, 60, 2)
    passed(limiter, "a", 5)

    assert passed(limiter, "b", 5) == 2


def test_remaining_and_reset_count_down_and_back_up(clock: Clock) -> None:
    limiter = memory(clock, 1, 2, 3)

    decisions = [limiter.take("a") for _ in range(4)]
    clock.wait(2)
    later = limiter.take("a")
    clock.wait(6)
    rested = limiter.take("a")

    assert decisions == [
        Decision(passes=True, remaining=2, retry_after=0, reset=2),
        Decision(passes=True, remaining=1, retry_after=0, reset=4),
        Decision(passes=True, remaining=0, retry_after=0, reset=6),
        Decision(passes=False, remaining=0, retry_after=2, reset=6),
    ]
    assert later == Decision(passes=True, remaining=0, retry_after=0, reset=6)
    assert rested == Decision(passes=True, remaining=2, retry_after=0, reset=2)


def test_retry_after_is_exact(clock: Clock) -> None:
    limiter = memory(clock, 1, 60, 1)
    limiter.take("a")

    refusals = []
    for _ in range(3):
        clock.wait(15)
        refusals.append(limiter.take("a").retry_after)

    assert refusals == [45, 30, 15]
    clock.now += 15 * SECOND - 1
    assert limiter.take("a") == Decision(passes=False, remaining=0, retry_after=1, reset=1)
    clock.now += 1
    assert limiter.take("a").passes


def test_a_refused_call_costs_nothing(clock: Clock) -> None:
    limiter = memory(clock, 1, 10, 1)
    limiter.take("a")

    passed(limiter, "a", 1000)
    clock.wait(10)

    assert limiter.take("a").passes


def test_to_peek_does_not_count(clock: Clock) -> None:
    limiter = memory(clock, 1, 10, 2)

    before = [limiter.peek("a") for _ in range(5)]
    passed(limiter, "a", 2)
    after = limiter.peek("a")

    assert before == [Decision(passes=True, remaining=2, retry_after=0, reset=0)] * 5
    assert after == Decision(passes=False, remaining=0, retry_after=10, reset=20)
    assert limiter.peek("never seen").passes
    assert len(limiter) == 1


def test_the_window_is_the_time_in_which_a_burst_comes_back() -> None:
    assert Rate(5, 1, 10).window == 2
    assert Rate(100, 60, 100).window == 60
    assert Rate(1, 3600, 3).window == 10_800


@given(RATES, st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=60))
def test_waiting_retry_after_suffices_and_a_second_less_does_not(rate: Rate, gaps: list[int]) -> None:
    clock = Clock()
    limiter = Memory(rate, entries_max=10, clock=clock)
    for gap in gaps:
        clock.now += gap
        while (decision := limiter.take("a")).passes:
            assert decision.retry_after == 0
        told = clock.now + decision.retry_after * SECOND

        clock.now = told - SECOND
        assert not limiter.peek("a").passes
        clock.now = told
        assert limiter.peek("a").passes
        assert limiter.take("a").passes


@given(RATES, st.lists(st.integers(0, 5 * SECOND), max_size=120))
def test_no_window_lets_more_pass_than_burst_and_rate_allow(rate: Rate, gaps: list[int]) -> None:
    clock = Clock()
    limiter = Memory(rate, entries_max=10, clock=clock)
    moments = []
    for gap in gaps:
        clock.now += gap
        if limiter.take("a").passes:
            moments.append(clock.now)

    for first, begin in enumerate(moments):
        for last, end in enumerate(moments[first:], first):
            assert last - first + 1 <= rate.burst + (end - begin) * rate.count / (rate.seconds * SECOND)


@given(RATES, st.lists(st.integers(0, SECOND), max_size=120))
def test_remaining_is_what_would_pass_now(rate: Rate, gaps: list[int]) -> None:
    clock = Clock()
    limiter = Memory(rate, entries_max=10, clock=clock)
    for gap in gaps:
        clock.now += gap
        limiter.take("a")

    told = limiter.take("a").remaining

    assert passed(limiter, "a", rate.burst + 1) == told


@given(RATES, st.lists(st.integers(0, SECOND), max_size=60))
def test_after_reset_the_whole_burst_is_back(rate: Rate, gaps: list[int]) -> None:
    clock = Clock()
    limiter = Memory(rate, entries_max=10, clock=clock)
    for gap in gaps:
        clock.now += gap
        limiter.take("a")

    clock.wait(limiter.take("a").reset)

    assert passed(limiter, "a", rate.burst + 5) == rate.burst


def test_a_full_table_forgets_the_expired_first(clock: Clock) -> None:
    limiter = memory(clock, 1, 10, 5, entries_max=3)
    for caller in ("expired", "busy", "other"):
        limiter.take(caller)
    clock.wait(9)
    passed(limiter, "busy", 4)
    passed(limiter, "other", 2)
    clock.wait(2)

    limiter.take("new")

    assert len(limiter) == 3
    assert limiter.peek("expired").remaining == 5
    assert limiter.peek("busy").remaining < 5
    assert limiter.peek("other").remaining < 5
    assert limiter.peek("new").remaining == 4


def test_a_table_full_of_the_living_forgets_the_one_nearest_to_expiry(clock: Clock) -> None:
    limiter = memory(clock, 1, 10, 5, entries_max=3)
    passed(limiter, "much", 5)
    passed(limiter, "little", 1)
    passed(limiter, "middling", 3)

    limiter.take("new")

    assert [limiter.peek(caller).remaining for caller in ("much", "little", "middling", "new")] == [0, 5, 2, 4]


def test_a_refused_caller_cannot_be_washed_out_by_newcomers(clock: Clock) -> None:
    limiter = memory(clock, 1, 60, 3, entries_max=10)
    passed(limiter, "greedy", 3)

    for number in range(1000):
        limiter.take(f"newcomer {number}")

    assert not limiter.take("greedy").passes


def test_a_known_caller_pushes_nobody_out(clock: Clock) -> None:
    limiter = memory(clock, 1, 60, 9, entries_max=2)
    limiter.take("a")
    limiter.take("b")

    passed(limiter, "a", 5)

    assert limiter.peek("b").remaining == 8


def callers(count: int, seed: int) -> Iterator[str]:
    chance = random.Random(seed)
    for number in range(count):
        yield f"regular {chance.randrange(500)}" if number % 4 == 0 else f"passer-by {number}"


def test_300_000_callers_leave_no_more_than_the_table_holds(clock: Clock) -> None:
    limiter = memory(clock, 5, 1, 10, entries_max=4096)
    largest = 0

    for caller in callers(300_000, seed=3):
        clock.now += 100_000
        limiter.take(caller)
        largest = max(largest, len(limiter))

    assert largest == 4096
    assert len(limiter._heap) == len(limiter._arrivals)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2 * SECOND)), max_size=150), st.integers(1, 6))
def test_the_table_never_outgrows_its_bound_and_evicts_in_order(calls: list[tuple[int, int]], entries_max: int) -> None:
    clock = Clock()
    limiter = Memory(Rate(1, 1, 3), entries_max=entries_max, clock=clock)
    for number, gap in calls:
        clock.now += gap
        before = dict(limiter._arrivals)

        limiter.take(str(number))

        gone = before.keys() - limiter._arrivals.keys()
        assert len(limiter) <= entries_max
        assert len(gone) <= 1
        assert all(before[caller] == min(before.values()) for caller in gone)
