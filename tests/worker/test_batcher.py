"""The thread of the device: what goes together, in which order, who is left out, and what a failure costs the others."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.batcher import CAREFUL_CALLS, FAILURES_MAX, Batcher, Kind, Ran
from worker.pixels import Bytes
from worker.problems import Busy, EngineFailed, EngineGone, NotAnImage, NotReady, Problem, TooLargeForDevice, TooLate

LATE = 1e9
SIDE = 10


def view(mark: int, side: int = SIDE) -> Bytes:
    """A view that can be told from the others by its first byte."""
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[0, 0, 0] = mark
    return pixels


def mark(pixels: Bytes) -> int:
    return int(pixels.ravel()[0])


class Lost(Exception):
    """What a broken device answers to everything."""


def is_lost(error: Exception) -> bool:
    return isinstance(error, Lost)


def is_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError)


class Made:
    """An engine that stops at each call until it is let on, and fails where it is told to."""

    def __init__(self, together: int = 4) -> None:
        self.calls: list[list[int]] = []
        self.threads: set[str] = set()
        self.together = together
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.fails: Callable[[list[int]], BaseException | None] = lambda _marks: None

    def kind(self, key: str = "a") -> Kind:
        return Kind(key, self.run, self.together * SIDE * SIDE, is_memory, is_lost)

    def run(self, views: Sequence[Bytes]) -> list[Bytes]:
        marks = [mark(each) for each in views]
        self.calls.append(marks)
        self.threads.add(threading.current_thread().name)
        self.entered.set()
        self.gate.wait(10)
        error = self.fails(marks)
        if error is not None:
            raise error
        return [each[..., 0] for each in views]


@pytest.fixture
def engine() -> Made:
    return Made()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def batcher(engine: Made, clock: Clock) -> AsyncIterator[Batcher]:
    batcher = Batcher(20, clock)
    await batcher.start(lambda: None)
    yield batcher
    engine.gate.set()
    await batcher.close()


Blocked = Callable[[], Awaitable["asyncio.Task[Ran]"]]


@pytest.fixture
def blocked(batcher: Batcher, engine: Made) -> Blocked:
    """Keep the device busy with the view 0."""

    async def block() -> "asyncio.Task[Ran]":
        task = asyncio.create_task(batcher.run(engine.kind(), view(0), LATE))
        await asyncio.to_thread(engine.entered.wait, 10)
        return task

    return block


async def queued(batcher: Batcher, *runs: Coroutine[Any, Any, Ran]) -> "list[asyncio.Task[Ran]]":
    """Begin all of them, in this order, and return when they stand in the queue."""
    tasks = [asyncio.create_task(run) for run in runs]
    await asyncio.sleep(0)
    return tasks


async def marks(tasks: "Sequence[asyncio.Task[Ran]]") -> list[Any]:
    done = await asyncio.gather(*tasks, return_exceptions=True)
    return [mark(each.result) if isinstance(each, Ran) else type(each) for each in done]


async def test_a_lone_view_goes_at_once_in_the_thread_of_the_device(batcher: Batcher, engine: Made) -> None:
    engine.gate.set()

    ran = await batcher.run(engine.kind(), view(7), LATE)

    assert (mark(ran.result), ran.together) == (7, 1)
    assert engine.threads == {"device"}


async def test_what_came_while_the_device_was_busy_goes_together_up_to_the_budget(
    batcher: Batcher, engine: Made, blocked: Blocked
) -> None:
    first = await blocked()
    rest = await queued(batcher, *(batcher.run(engine.kind(), view(n), LATE) for n in range(1, 7)))
    engine.gate.set()

    assert await marks([first, *rest]) == list(range(7))
    assert engine.calls == [[0], [1, 2, 3, 4], [5, 6]]
    assert [task.result().together for task in rest] == [4, 4, 4, 4, 2, 2]


async def test_views_of_other_shapes_and_other_work_never_share_a_call(
    batcher: Batcher, engine: Made, blocked: Blocked
) -> None:
    first = await blocked()
    kinds = [("a", SIDE), ("a", 8), ("b", SIDE), ("a", SIDE), ("a", 8), ("b", SIDE)]
    runs = (batcher.run(engine.kind(key), view(n, side), LATE) for n, (key, side) in enumerate(kinds, 1))
    rest = await queued(batcher, *runs)
    engine.gate.set()

    assert await marks([first, *rest]) == list(range(7))
    assert engine.calls == [[0], [1, 4], [2, 5], [3, 6]]


async def test_the_oldest_goes_next_however_many_of_another_kind_keep_coming(
    batcher: Batcher, engine: Made, blocked: Blocked
) -> None:
    first = await blocked()
    stream = [batcher.run(engine.kind("many"), view(n), LATE) for n in range(1, 5)]
    lone = batcher.run(engine.kind("lone"), view(50), LATE)
    more = [batcher.run(engine.kind("many"), view(n), LATE) for n in range(5, 10)]
    rest = await queued(batcher, *stream, lone, *more)
    engine.gate.set()

    await marks([first, *rest])

    assert engine.calls.index([50]) == 2


async def test_a_view_larger_than_the_budget_goes_alone(batcher: Batcher, engine: Made, blocked: Blocked) -> None:
    first = await blocked()
    rest = await queued(batcher, *(batcher.run(engine.kind(), view(n, 90), LATE) for n in (1, 2)))
    engine.gate.set()

    assert await marks([first, *rest]) == [0, 1, 2]
    assert engine.calls == [[0], [1], [2]]


async def test_a_full_queue_refuses_at_once_and_takes_again_when_there_is_room(
    batcher: Batcher, engine: Made, blocked: Blocked
) -> None:
    first = await blocked()
    rest = await queued(batcher, *(batcher.run(engine.kind(), view(n), LATE) for n in range(1, 21)))

    with pytest.raises(Busy):
        await batcher.run(engine.kind(), view(99), LATE)
    engine.gate.set()

    assert await marks([first, *rest]) == list(range(21))
    assert mark((await batcher.run(engine.kind(), view(9), LATE)).result) == 9


async def test_those_who_have_left_take_no_place_in_a_full_queue(
    batcher: Batcher, engine: Made, blocked: Blocked
) -> None:
    first = await blocked()
    rest = await queued(batcher, *(batcher.run(engine.kind(), view(n), LATE) for n in range(1, 21)))
    rest[3].cancel()
    await asyncio.sleep(0)
    (late,) = await queued(batcher, batcher.run(engine.kind(), view(99), LATE))
    engine.gate.set()

    assert (await marks([first, *rest, late]))[-1] == 99


async def test_a_caller_who_left_costs_nothing(batcher: Batcher, engine: Made, blocked: Blocked) -> None:
    first = await blocked()
    rest = await queued(batcher, *(batcher.run(engine.kind(), view(n), LATE) for n in (1, 2, 3)))
    rest[1].cancel()
    engine.gate.set()

    assert await marks([first, *rest]) == [0, 1, asyncio.CancelledError, 3]
    assert engine.calls == [[0], [1, 3]]


async def test_what_is_past_its_deadline_is_told_so_and_never_begun(
    batcher: Batcher, engine: Made, blocked: Blocked, clock: Clock
) -> None:
    first = await blocked()
    rest = await queued(batcher, batcher.run(engine.kind(), view(1), 5.0), batcher.run(engine.kind(), view(2), 7.0))
    clock.now = 6.0
    engine.gate.set()

    assert await marks([first, *rest]) == [0, TooLate, 2]
    assert engine.calls == [[0], [2]]


async def test_one_poisoned_picture_fails_alone(batcher: Batcher, engine: Made, blocked: Blocked) -> None:
    engine.fails = lambda marks: RuntimeError("poison") if 2 in marks else None
    first = await blocked()
    rest = await queued(batcher, *(batcher.run(engine.kind(), view(n), LATE) for n in (1, 2, 3)))
    engine.gate.set()

    assert await marks([first, *rest]) == [0, 1, EngineFailed, 3]
    assert engine.calls == [[0], [1, 2, 3], [1], [2], [3]]


async def test_a_problem_that_the_engine_names_reaches_its_caller(batcher: Batcher, engine: Made) -> None:
    engine.fails = lambda _marks: NotAnImage("No.")
    engine.gate.set()

    with pytest.raises(NotAnImage):
        await batcher.run(engine.kind(), view(1), LATE)


async def test_an_answer_that_lacks_a_result_is_a_failure_and_no_swap(
    batcher: Batcher, engine: Made, blocked: Blocked
) -> None:
    kind = Kind("short", lambda views: [views[0][..., 0]], 10**6, is_memory, is_lost)
    first = await blocked()
    rest = await queued(batcher, *(batcher.run(kind, view(n), LATE) for n in (1, 2)))
    engine.gate.set()

    assert await marks([first, *rest]) == [0, 1, 2]  # each by itself, for which one result is right


async def test_out_of_memory_halves_the_batch_and_keeps_it_small_for_a_while(
    batcher: Batcher, engine: Made, blocked: Blocked
) -> None:
    engine.fails = lambda marks: MemoryError() if len(marks) > 2 else None
    first = await blocked()
    rest = await queued(batcher, *(batcher.run(engine.kind(), view(n), LATE) for n in range(1, 9)))
    engine.gate.set()

    assert await marks([first, *rest]) == list(range(9))
    assert engine.calls == [[0], [1, 2, 3, 4], [1, 2], [3, 4], [5, 6], [7, 8]]


async def test_after_a_while_the_whole_budget_is_tried_again(batcher: Batcher, engine: Made, blocked: Blocked) -> None:
    engine.fails = lambda marks: MemoryError() if len(marks) > 2 else None
    first = await blocked()
    rest = await queued(batcher, *(batcher.run(engine.kind(), view(n), LATE) for n in range(1, 5)))
    engine.gate.set()
    await marks([first, *rest])
    engine.fails = lambda _marks: None
    for _ in range(CAREFUL_CALLS):
        await batcher.run(engine.kind(), view(9), LATE)

    engine.gate.clear()
    engine.entered.clear()
    first = await blocked()
    rest = await queued(batcher, *(batcher.run(engine.kind(), view(n), LATE) for n in range(1, 5)))
    engine.gate.set()
    await marks([first, *rest])

    assert engine.calls[-1] == [1, 2, 3, 4]


async def test_one_view_for_which_memory_does_not_do_is_told_to_come_smaller_and_not_again(
    batcher: Batcher, engine: Made
) -> None:
    engine.fails = lambda _marks: MemoryError()
    engine.gate.set()

    for _ in range(2 * FAILURES_MAX):  # nor is the device broken
        with pytest.raises(TooLargeForDevice) as refusal:
            await batcher.run(engine.kind(), view(1), LATE)

    assert (refusal.value.status, refusal.value.code) == (413, "too-large-for-device")
    assert "Retry-After" not in refusal.value.headers
    assert "smaller picture" in refusal.value.detail


@pytest.mark.parametrize("together", [1, 4])
async def test_a_device_that_is_lost_ends_the_thread_so_that_the_process_is_started_again(
    batcher: Batcher, engine: Made, blocked: Blocked, together: int
) -> None:
    error = Lost("device-side assert")
    engine.fails = lambda marks: error if 1 in marks else None
    engine.together = together
    first = await blocked()
    rest = await queued(batcher, *(batcher.run(engine.kind(), view(n), LATE) for n in range(1, 7)))
    engine.gate.set()

    assert await marks([first, *rest]) == [0, *[EngineGone] * 6]
    await asyncio.wait_for(batcher.over, 10)
    assert batcher.failure is error
    assert len(engine.calls) == 2
    with pytest.raises(EngineGone):
        await batcher.run(engine.kind(), view(9), LATE)


async def test_so_many_failures_in_a_row_that_it_cannot_be_the_pictures_end_the_thread(
    batcher: Batcher, engine: Made
) -> None:
    engine.fails = lambda _marks: RuntimeError("cuDNN")
    engine.gate.set()

    answers = [await marks(await queued(batcher, batcher.run(engine.kind(), view(1), LATE))) for _ in range(9)]

    assert [answer for (answer,) in answers] == [EngineFailed] * (FAILURES_MAX - 1) + [EngineGone] * 2
    assert "8 pictures in a row failed, the last one by RuntimeError('cuDNN')" in str(batcher.failure)


async def test_failures_between_successes_and_pictures_at_fault_do_not_end_the_thread(
    batcher: Batcher, engine: Made
) -> None:
    engine.gate.set()
    for error in [*[RuntimeError()] * (FAILURES_MAX - 1), None, *[RuntimeError()] * (FAILURES_MAX - 1)]:
        engine.fails = lambda _marks, error=error: error  # type: ignore[misc]
        await marks(await queued(batcher, batcher.run(engine.kind(), view(1), LATE)))
    engine.fails = lambda _marks: NotAnImage("No.")
    for _ in range(FAILURES_MAX):
        await marks(await queued(batcher, batcher.run(engine.kind(), view(1), LATE)))
    engine.fails = lambda _marks: None

    assert mark((await batcher.run(engine.kind(), view(5), LATE)).result) == 5


async def test_nothing_of_a_failed_call_is_held_while_the_next_one_runs(batcher: Batcher, engine: Made) -> None:
    alive: list[bool] = []

    class Tensor:
        pass

    def run(views: Sequence[Bytes]) -> list[Bytes]:
        if len(views) > 1:
            import weakref  # noqa: PLC0415

            tensor = Tensor()
            remembered.append(weakref.ref(tensor))
            raise MemoryError
        alive.append(any(ref() is not None for ref in remembered))
        return [each[..., 0] for each in views]

    remembered: list[Any] = []
    block = asyncio.create_task(batcher.run(engine.kind(), view(0), LATE))
    await asyncio.to_thread(engine.entered.wait, 10)
    kind = Kind("tensors", run, 10**6, is_memory, is_lost)
    rest = await queued(batcher, *(batcher.run(kind, view(n), LATE) for n in (1, 2)))
    engine.gate.set()

    assert await marks([block, *rest]) == [0, 1, 2]
    assert alive == [False, False]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
async def test_an_engine_that_dies_leaves_nobody_hanging(
    batcher: Batcher, engine: Made, blocked: Blocked, error: BaseException
) -> None:
    engine.fails = lambda _marks: error
    first = await blocked()
    rest = await queued(batcher, *(batcher.run(engine.kind(), view(n), LATE) for n in range(1, 9)))
    engine.gate.set()

    assert await marks([first, *rest]) == [EngineGone] * 9
    await asyncio.wait_for(batcher.over, 10)
    assert batcher.failure is error
    with pytest.raises(EngineGone):
        await batcher.run(engine.kind(), view(1), LATE)


async def test_even_a_mistake_in_naming_the_error_leaves_nobody_hanging(batcher: Batcher, engine: Made) -> None:
    def broken(_error: Exception) -> bool:
        raise ZeroDivisionError

    engine.fails = lambda _marks: RuntimeError()
    engine.gate.set()

    with pytest.raises(EngineGone):
        await batcher.run(Kind("a", engine.run, 1, broken, is_lost), view(1), LATE)


async def test_what_fails_to_load_is_raised_and_ends_the_thread() -> None:
    batcher = Batcher(3)

    def load() -> None:
        raise OSError("no weights here")

    with pytest.raises(OSError, match="no weights"):
        await batcher.start(load)
    with pytest.raises(EngineGone):
        await batcher.run(Made().kind(), view(1), LATE)
    await batcher.close()


async def test_a_loader_that_dies_leaves_nobody_hanging() -> None:
    batcher = Batcher(3)

    def load() -> None:
        raise SystemExit

    with pytest.raises(EngineGone):
        await batcher.start(load)
    await batcher.close()


async def test_views_wait_while_the_engine_loads(engine: Made) -> None:
    batcher, go = Batcher(3), threading.Event()
    starting = asyncio.create_task(batcher.start(lambda: go.wait(10)))
    await asyncio.sleep(0)
    (early,) = await queued(batcher, batcher.run(engine.kind(), view(1), LATE))
    engine.gate.set()

    assert not engine.calls
    go.set()

    assert await starting
    assert mark((await early).result) == 1
    await batcher.close()


async def test_closing_refuses_what_waits_and_lets_the_call_in_work_finish(
    batcher: Batcher, engine: Made, blocked: Blocked
) -> None:
    first = await blocked()
    rest = await queued(batcher, *(batcher.run(engine.kind(), view(n), LATE) for n in (1, 2)))
    closing = asyncio.create_task(batcher.close())
    await asyncio.gather(*rest, return_exceptions=True)
    engine.gate.set()
    await closing

    assert await marks([first, *rest]) == [0, NotReady, NotReady]
    assert engine.calls == [[0]]
    with pytest.raises(NotReady):
        await batcher.run(engine.kind(), view(1), LATE)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from([4, SIDE]), st.sampled_from(["", "cancel", "poison"])),
        max_size=19,
    ),
    st.integers(0, 5),
)
def test_everybody_gets_his_own_answer_once_in_order_and_within_the_budget(
    wanted: list[tuple[str, int, str]], together: int
) -> None:
    calls, answers = asyncio.run(_history(wanted, together))

    for n, (_, _, fate) in enumerate(wanted, 1):
        assert answers[n] == {"": n, "cancel": asyncio.CancelledError, "poison": EngineFailed}[fate]
    for call in calls:
        assert call == sorted(call)
        assert len({wanted[n - 1][:2] for n in call if n}) <= 1
        assert not any(wanted[n - 1][2] == "cancel" for n in call if n)
        sides = [wanted[n - 1][1] if n else SIDE for n in call]
        assert len(call) == 1 or sum(side * side for side in sides) <= together * SIDE * SIDE
    firsts = [call[0] for call in calls if not any(n and wanted[n - 1][2] == "poison" for n in call)]
    assert sorted(set(firsts)) == sorted(firsts)


async def _history(wanted: list[tuple[str, int, str]], together: int) -> tuple[list[list[int]], list[Any]]:
    engine, batcher = Made(together), Batcher(20, failures_max=100)
    poisoned = {n for n, (_, _, fate) in enumerate(wanted, 1) if fate == "poison"}
    engine.fails = lambda marks: RuntimeError() if poisoned & set(marks) else None
    await batcher.start(lambda: None)
    first = asyncio.create_task(batcher.run(engine.kind(), view(0), LATE))
    await asyncio.to_thread(engine.entered.wait, 10)
    runs = (batcher.run(engine.kind(key), view(n, side), LATE) for n, (key, side, _) in enumerate(wanted, 1))
    rest = await queued(batcher, *runs)
    for task, (_, _, fate) in zip(rest, wanted, strict=True):
        if fate == "cancel":
            task.cancel()
    engine.gate.set()
    answers = await marks([first, *rest])
    await batcher.close()
    return engine.calls, answers


def test_every_refusal_of_the_batcher_says_when_to_come_again() -> None:
    refusals: list[Problem] = [Busy(), TooLate(), EngineGone(SystemExit()), NotReady("x")]

    assert all(problem.status == 503 and problem.headers["Retry-After"] for problem in refusals)
