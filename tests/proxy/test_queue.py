"""Whatever calls do, no address has more than its number, no room is lost, and who came first goes first."""

import asyncio
from collections.abc import Set

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nijika.errors import UpstreamUnavailable
from nijika.proxy.place import Place, Visit
from nijika.proxy.unsent import Unsent
from nijika.proxy.upstream import Pace, Rest, Room, Upstream
from tests.peers.patience import within

URLS = ("http://a", "http://b")
CALLS = 2
WAITING_MAX = 6


class Call:
    """One call: it may go to any place that it has not tried, and is under way until it is told how it ends."""

    def __init__(self, upstream: Upstream, tried: Set[Place]) -> None:
        self.tried = tried
        self.place: Place | None = None
        self.is_refused = False
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._run(upstream))

    async def _run(self, upstream: Upstream) -> None:
        try:
            with await upstream.visit(self.tried) as visit:
                self.place = visit.place
                await self.end
        except Unsent:
            self.is_refused = True
        except ConnectionError:
            pass

    @property
    def is_under_way(self) -> bool:
        return self.place is not None and not self.task.done()

    @property
    def waits(self) -> bool:
        return self.place is None and not self.task.done()


class Crowd(RuleBasedStateMachine):
    """Calls that come, wait, leave, fail and are cancelled in any order, at two addresses."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        room = Room(CALLS, wait_seconds=1e6, waiting_max=WAITING_MAX)
        self.upstream = Upstream("worker", URLS, room=room, rest=Rest(5, 3600, 3600))
        self.calls: list[Call] = []

    def settle(self) -> None:
        """Let all run who can."""
        for _ in range(6):
            self.loop.run_until_complete(asyncio.sleep(0))

    def drawn(self, data: st.DataObject, calls: list[Call]) -> Call:
        return calls[data.draw(st.integers(0, len(calls) - 1))]

    @property
    def under_way(self) -> list[Call]:
        return [call for call in self.calls if call.is_under_way]

    @property
    def waiting(self) -> list[Call]:
        return [call for call in self.calls if call.waits]

    @rule(tried=st.sampled_from([(), (), (), (0,), (1,)]))
    def come(self, tried: tuple[int, ...]) -> None:
        places = frozenset(self.upstream.places[index] for index in tried)
        count = len(self.waiting)

        async def come() -> None:
            self.calls.append(Call(self.upstream, places))

        self.loop.run_until_complete(come())
        self.settle()
        if self.calls[-1].is_refused:
            assert count == WAITING_MAX

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), fails=st.booleans())
    def leave(self, data: st.DataObject, fails: bool) -> None:
        self._end(self.drawn(data, self.under_way), fails=fails)
        self.settle()

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def be_cancelled(self, data: st.DataObject) -> None:
        self.drawn(data, self.under_way).task.cancel()
        self.settle()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        self.drawn(data, self.waiting).task.cancel()
        self.settle()

    @precondition(lambda self: self.waiting and self.under_way)
    @rule(data=st.data(), turns=st.integers(0, 4))
    def give_up_while_it_is_being_let_in(self, data: st.DataObject, turns: int) -> None:
        first = self.waiting[0]
        ended = self.drawn(data, self.under_way)

        async def end_and_give_up() -> None:
            self._end(ended, fails=False)
            for _ in range(turns):
                await asyncio.sleep(0)
            first.task.cancel()

        self.loop.run_until_complete(end_and_give_up())
        self.settle()

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), status=st.sampled_from([200, 500]))
    def tell(self, data: st.DataObject, status: int) -> None:
        """What a place answers sends it to rest and back; a queue that waits for it must not be forgotten."""
        place = self.drawn(data, self.under_way).place
        assert place is not None

        async def tell() -> None:
            for _ in range(5):
                place.health.answered(status, place.rests_total)

        self.loop.run_until_complete(tell())
        self.settle()

    def _end(self, call: Call, *, fails: bool) -> None:
        if fails:
            call.end.set_exception(ConnectionError())
        else:
            call.end.set_result(None)

    @invariant()
    def no_address_has_more_than_its_number(self) -> None:
        assert all(place.in_flight <= CALLS for place in self.upstream.places)

    @invariant()
    def nothing_is_lost_and_nothing_given_back_twice(self) -> None:
        for place in self.upstream.places:
            assert place.in_flight == sum(call.place is place for call in self.under_way)

    @invariant()
    def who_waits_is_counted(self) -> None:
        assert self.upstream.waiting == len(self.waiting) <= WAITING_MAX

    @invariant()
    def who_came_first_goes_first(self) -> None:
        """Nobody who could go anywhere waits behind somebody who came later and could, too."""
        free = [call for call in self.calls if not call.tried and not call.is_refused]
        waits = [call.waits for call in free if call.waits or call.place is not None]
        assert waits == sorted(waits)

    @invariant()
    def nobody_waits_beside_a_free_place(self) -> None:
        well = [place for place in self.upstream.places if place.state == "ok" and place.has_room]
        assert not [call for call in self.waiting for place in well if place not in call.tried]

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return  # it was not begun
        for call in self.calls:
            call.task.cancel()
        self.settle()
        assert [place.in_flight for place in self.upstream.places] == [0, 0]
        assert self.upstream.waiting == 0
        self.loop.close()


Crowd.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_no_more_than_its_number_and_in_the_order_in_which_they_came = Crowd.TestCase


async def test_who_waits_too_long_is_refused_and_leaves_no_trace() -> None:
    upstream = Upstream("worker", URLS[:1], room=Room(1, wait_seconds=0.05))
    with await upstream.visit(set()):
        with pytest.raises(Unsent) as refusal:
            with await upstream.visit(set()):
                pass
        waiting = upstream.waiting

    assert isinstance(refusal.value.problem, UpstreamUnavailable)
    assert int(refusal.value.problem.headers["Retry-After"]) > 0
    assert (waiting, upstream.places[0].in_flight) == (0, 0)


async def test_who_waits_is_let_in_when_a_rest_is_over_although_nobody_leaves() -> None:
    upstream = Upstream("worker", URLS, room=Room(1))
    resting, well = upstream.places
    with await upstream.visit({resting}):
        ill = Visit(resting)
        ill.unreachable("nobody is there")
        ill.leave()
        async with within("the end of the rest"):
            with await upstream.visit(set()) as visit:
                place, state = visit.place, visit.place.state

    assert (place, state, well.in_flight) == (resting, "trial", 0)


async def test_who_waits_for_a_place_that_then_hangs_is_refused_and_not_forgotten() -> None:
    upstream = Upstream("worker", URLS[:1], room=Room(1, wait_seconds=1e6))
    (place,) = upstream.places

    async def wait() -> None:
        with await upstream.visit(set()):
            pass

    with await upstream.visit(set()):
        waiter = asyncio.create_task(wait())
        await asyncio.sleep(0)
        assert upstream.waiting == 1
        place.health.failed_checks("does not answer to /health in time", 1e6, hangs=True)

        async with within("the refusal"):
            with pytest.raises(Unsent):
                await waiter


async def test_who_waits_for_the_pace_has_room_and_gives_it_back_if_refused() -> None:
    pace = Pace(1, 86_400, wait_seconds=0.05)
    async with Upstream("worker", URLS[:1], pace=pace, room=Room(1)) as upstream:
        await upstream.pace()
        with pytest.raises(UpstreamUnavailable):
            with await upstream.visit(set()):
                await upstream.pace()

        assert (upstream.places[0].in_flight, upstream.waiting) == (0, 0)
