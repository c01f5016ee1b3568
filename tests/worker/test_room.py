"""What is in the house at once is bounded, in order, and nobody who leaves takes room with him."""

import asyncio
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.problems import Busy, TooLate
from worker.room import Places, Room


async def started(room: Room, log: list[str], name: str, count: int, leave: asyncio.Event) -> None:
    async with room.held(count, asyncio.get_running_loop().time() + 60):
        log.append(name)
        await leave.wait()


def _scene() -> tuple[Room, list[str], asyncio.Event]:
    return Room(10), [], asyncio.Event()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_place_is_given_back_also_after_a_failure() -> None:
    places = Places(1)

    with contextlib.suppress(ValueError), places.taken():
        with pytest.raises(Busy), places.taken():
            pass
        raise ValueError

    with places.taken():
        assert places.left == 0


async def test_pixels_beyond_the_room_wait_until_some_are_given_back() -> None:
    room, log, leave = _scene()
    tasks = [asyncio.create_task(started(room, log, name, 6, leave)) for name in ("first", "second")]
    await settle()
    before = list(log)
    leave.set()
    await asyncio.gather(*tasks)

    assert (before, log) == (["first"], ["first", "second"])


async def test_a_small_picture_does_not_pass_a_large_one_that_came_before() -> None:
    room, log, leave = _scene()
    sizes = {"first": 6, "large": 9, "small": 1}
    tasks = [asyncio.create_task(started(room, log, name, count, leave)) for name, count in sizes.items()]
    await settle()
    before = list(log)
    leave.set()
    await asyncio.gather(*tasks)

    assert (before, log) == (["first"], ["first", "large", "small"])


async def test_what_is_larger_than_the_room_gets_all_of_it() -> None:
    room, log, leave = _scene()
    tasks = [asyncio.create_task(started(room, log, name, count, leave)) for name, count in (("huge", 99), ("one", 1))]
    await settle()
    before = list(log)
    leave.set()
    await asyncio.gather(*tasks)

    assert (before, log) == (["huge"], ["huge", "one"])


async def test_whoever_leaves_the_queue_lets_the_next_one_in() -> None:
    room, log, leave = _scene()
    sizes = {"first": 6, "large": 9, "small": 1}
    first, large, small = (asyncio.create_task(started(room, log, name, n, leave)) for name, n in sizes.items())
    await settle()
    large.cancel()
    await settle()

    assert log == ["first", "small"]
    leave.set()
    await asyncio.gather(first, small)


async def test_whoever_has_waited_until_his_deadline_is_told_to_come_again() -> None:
    room = Room(10)

    async with room.held(10, asyncio.get_running_loop().time() + 60):
        with pytest.raises(TooLate):
            async with room.held(1, asyncio.get_running_loop().time()):
                pytest.fail("there was no room")

    async with room.held(10, asyncio.get_running_loop().time()):
        pass


async def test_a_late_answer_of_ones_own_work_is_not_taken_for_a_long_wait() -> None:
    with pytest.raises(TimeoutError, match="mine"):
        async with Room(10).held(1, asyncio.get_running_loop().time() + 60):
            raise TimeoutError("mine")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 14), st.sampled_from(["leave", "cancel"])), max_size=12), st.randoms())
def test_whatever_comes_and_goes_the_room_is_never_overfull_and_ends_empty(
    visits: list[tuple[int, str]], random: "object"
) -> None:
    asyncio.run(_visits(visits, random))


async def _visits(visits: list[tuple[int, str]], random: "object") -> None:
    room, inside = Room(10), 0

    async def visit(count: int, leave: asyncio.Event) -> None:
        nonlocal inside
        async with room.held(count, asyncio.get_running_loop().time() + 60):
            inside += min(count, 10)
            assert inside <= 10
            try:
                await leave.wait()
            finally:
                inside -= min(count, 10)

    leaves = [asyncio.Event() for _ in visits]
    tasks = [asyncio.create_task(visit(count, leave)) for (count, _), leave in zip(visits, leaves, strict=True)]
    order = list(range(len(visits)))
    random.shuffle(order)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    for n in order:
        await asyncio.sleep(0)
        tasks[n].cancel() if visits[n][1] == "cancel" else leaves[n].set()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert not [error for error in results if isinstance(error, AssertionError)]
    assert room._left == 10
    assert not room._waiting
