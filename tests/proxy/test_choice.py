"""Which address is asked: whose trial is due, then the least busy one, and what there is left when all rest."""

import pytest

from nijika.errors import UpstreamFailed, UpstreamUnavailable
from nijika.proxy.choice import choose
from nijika.proxy.health import Health, Rest
from nijika.proxy.place import Place, Visit
from nijika.proxy.unsent import Unsent
from tests.proxy.clock import Clock


class Three:
    """Three places with room for two calls each."""

    def __init__(self) -> None:
        self.clock = Clock()
        rest = Rest(failures=1, seconds=10)
        self.places = [Place(f"http://{name}", Health(name, rest, clock=self.clock), in_flight_max=2) for name in "abc"]

    def rest(self, *names: str, hangs: bool = False) -> None:
        for place in self.places:
            if place.base[-1] in names:
                visit = Visit(place)
                visit.failed("broken", hangs=hangs)
                visit.leave()

    def chosen(self, *, has_fallback: bool = False) -> str:
        """The letter of the place that is chosen, and visited from now on; "wait" or "refused"."""
        try:
            place = choose(self.places, has_fallback=has_fallback)
        except Unsent as unsent:
            return "refused" if isinstance(unsent.problem, UpstreamUnavailable) else "failed"
        if place is None:
            return "wait"
        place.last_turn = max(other.last_turn for other in self.places) + 1
        Visit(place)
        return place.base[-1]


@pytest.fixture
def three() -> Three:
    return Three()


def test_equally_busy_places_take_turns_until_all_are_full(three: Three) -> None:
    assert "".join(three.chosen() for _ in range(6)) == "abcabc"
    assert three.chosen() == "wait"


def test_the_turn_is_kept_where_calls_end_at_once(three: Three) -> None:
    seen = []
    for _ in range(6):
        seen.append(three.chosen())
        for place in three.places:
            place.in_flight = 0

    assert "".join(seen) == "abcabc"


def test_a_resting_place_is_passed_over_and_no_reason_to_wait(three: Three) -> None:
    three.rest("b")

    assert "".join(three.chosen() for _ in range(4)) == "acac"
    assert three.chosen() == "wait"


def test_a_place_whose_rest_is_over_gets_the_next_call_and_that_one_only(three: Three) -> None:
    three.rest("b")
    three.clock.now += 10

    assert "".join(three.chosen() for _ in range(5)) == "bacac"
    assert three.chosen() == "wait"


def test_if_all_rest_those_that_fail_at_once_are_asked_all_the_same(three: Three) -> None:
    three.rest("a", "b", "c")

    assert "".join(three.chosen() for _ in range(6)) == "abcabc"
    assert three.chosen() == "wait"


def test_if_all_rest_one_that_hangs_gets_one_call_and_the_others_are_refused(three: Three) -> None:
    three.rest("a", "b", "c", hangs=True)

    assert [three.chosen() for _ in range(5)] == ["a", "b", "c", "refused", "refused"]


def test_if_all_rest_the_one_that_fails_at_once_is_preferred_to_those_that_hang(three: Three) -> None:
    three.rest("a", "c", hangs=True)
    three.rest("b")

    assert "".join(three.chosen() for _ in range(2)) == "bb"


def test_if_all_rest_a_fallback_gets_the_calls_but_those_that_try(three: Three) -> None:
    three.rest("a", "b", "c")

    resting = three.chosen(has_fallback=True)
    three.clock.now += 10
    tried = [three.chosen(has_fallback=True) for _ in range(5)]

    assert (resting, tried) == ("refused", ["a", "b", "c", "refused", "refused"])


def test_who_is_refused_is_told_when_a_rest_ends(three: Three) -> None:
    three.rest("a", "b", "c")
    three.clock.now += 6.5

    with pytest.raises(Unsent) as refusal:
        choose(three.places, has_fallback=True)

    assert refusal.value.problem.headers["Retry-After"] == "4"


def test_where_every_place_was_tried_nobody_is_there() -> None:
    with pytest.raises(Unsent) as refusal:
        choose([], has_fallback=False)

    assert isinstance(refusal.value.problem, UpstreamFailed)
