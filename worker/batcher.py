"""The one thread that owns the device. While it works the queue grows; when it is free, all that goes together goes."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from worker.pixels import Bytes
from worker.problems import Busy, EngineFailed, EngineGone, NotReady, Problem, TooLargeForDevice, TooLate

T = TypeVar("T")

log = logging.getLogger("worker")

CAREFUL_CALLS = 64  # how long the device is given smaller batches after it ran out of memory
FAILURES_MAX = 8  # of views alone, in a row, without one success: then it is not the pictures
STOPPING = "The worker is stopping. Send it again."


@dataclass(frozen=True)
class Kind:
    """A kind of work for the device: `run` takes views of one shape and gives as many results, in order.

    Work of the same `key` may share a call of at most `pixels_together`; a single view always goes. What `is_lost`
    says yes to ends the thread.
    """

    key: Hashable
    run: Callable[[Sequence[Bytes]], Sequence[Bytes]]
    pixels_together: int
    is_out_of_memory: Callable[[Exception], bool]
    is_lost: Callable[[Exception], bool]


@dataclass(frozen=True)
class Ran:
    """A result, the seconds of the call that it came from, and how many views shared that call."""

    result: Bytes
    seconds: float
    together: int


class DeviceUseless(Exception):
    """So many views failed one after the other that the fault is not theirs; in a sentence to the operator."""


class Batcher:
    """A queue of at most `waiting_max` views before a thread that nothing else may use the device from.

    There is no timer: a lone view goes at once. The oldest view says what goes next, so none waits for ever.
    The thread ends by a failure that says that the device is lost, and after `failures_max` failures of single views
    in a row: `over` is done then, and `failure` is set, so that the process can be started again.
    """

    over: "asyncio.Future[None]"

    def __init__(
        self, waiting_max: int, clock: Callable[[], float] = time.monotonic, failures_max: int = FAILURES_MAX
    ) -> None:
        self.failure: BaseException | None = None  # what ended the thread
        self._waiting_max = waiting_max
        self._clock = clock
        self._failures_max = failures_max
        self._failures = 0  # of single views, since the last success
        self._queue: deque[_Item] = deque()
        self._in_work: list[_Item] = []
        self._careful: dict[Hashable, tuple[int, int]] = {}
        self._closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    async def start(self, first: Callable[[], T]) -> T:
        """Begin the thread with `first`, which loads what it will run; what is queued meanwhile waits.

        Raises what `first` raises, and then the thread has ended.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.over = asyncio.get_running_loop().create_future()
        # A daemon, so that a call which never returns cannot keep the process from ending.
        self._thread = threading.Thread(target=self._live, args=(first, future), name="device", daemon=True)
        self._thread.start()
        return await future

    async def run(self, kind: Kind, view: Bytes, deadline: float) -> Ran:
        """Give `view` to the device; a caller who is cancelled while he waits is left out.

        Raises Busy if the queue is full, TooLate if its turn comes after `deadline` (by the clock), EngineFailed if
        the call fails for this view alone, TooLargeForDevice if memory does not do for it alone, EngineGone if the
        thread has ended, NotReady if it is stopping.
        """
        item = _Item(kind, view, deadline, asyncio.get_running_loop().create_future())
        with self._changed:
            if self.failure:
                raise EngineGone(self.failure)
            if self._closed:
                raise NotReady(STOPPING)
            self._make_room()
            self._queue.append(item)
            self._changed.notify()
        return await item.future

    async def close(self, seconds: float = 5) -> None:
        """Refuse what waits and let the call in work finish, for at most so many seconds."""
        with self._changed:
            self._closed = True
            for item in self._queue:
                _later_failed(item.future, NotReady(STOPPING))
            self._queue.clear()
            self._changed.notify()
        if self._thread:
            await asyncio.to_thread(self._thread.join, seconds)

    def _live(self, first: Callable[[], T], future: "asyncio.Future[T]") -> None:
        try:
            try:
                _later(future, first())
            except BaseException as error:
                _later_failed(future, error if isinstance(error, Exception) else EngineGone(error))
                raise
            while self._next():
                self._work(self._in_work)
        except BaseException as error:  # whatever it is, somebody waits for an answer
            self._die(error)

    def _die(self, error: BaseException) -> None:
        with self._changed:
            self.failure = error
            left = [*self._in_work, *self._queue]
            self._queue.clear()
        for item in left:
            _later_failed(item.future, EngineGone(error))
        _later(self.over, None)

    def _make_room(self) -> None:
        if len(self._queue) >= self._waiting_max:
            self._forget_unwanted()
        if len(self._queue) >= self._waiting_max:
            raise Busy

    def _next(self) -> bool:
        with self._changed:
            self._in_work = []
            while not self._closed:
                self._forget_unwanted()
                if self._queue:
                    self._in_work = self._take()
                    return True
                self._changed.wait()
            return False

    def _forget_unwanted(self) -> None:
        self._queue = deque(item for item in self._queue if self._is_wanted(item))

    def _take(self) -> "list[_Item]":
        oldest = self._queue[0]
        fit = max(1, self._pixels_together(oldest) // oldest.pixels)
        taken = [item for item in self._queue if item.key == oldest.key][:fit]
        chosen = set(map(id, taken))
        self._queue = deque(item for item in self._queue if id(item) not in chosen)
        return taken

    def _is_wanted(self, item: "_Item") -> bool:
        if item.future.done():
            return False
        if self._clock() > item.deadline:
            _later_failed(item.future, TooLate())
            return False
        return True

    def _work(self, items: "list[_Item]") -> None:
        problem, too_large = self._try(items)
        if problem is None:
            return
        if len(items) == 1:
            # To come again would not help: alone as it was, the device had all of its memory for it.
            _later_failed(items[0].future, TooLargeForDevice() if too_large else problem)
            return
        # Half of it where memory ran out; else one by one, so that the picture which broke the call fails alone.
        share = (len(items) + 1) // 2 if too_large else 1
        if too_large:
            self._careful[items[0].key] = (share * items[0].pixels, CAREFUL_CALLS)
        for start in range(0, len(items), share):
            part = [item for item in items[start : start + share] if self._is_wanted(item)]
            if part:
                self._work(part)

    def _try(self, items: "list[_Item]") -> tuple[Problem | None, bool]:
        """Run one call; nothing of a failed one may be held when the next begins, or its memory would be held too."""
        kind = items[0].kind
        begun = self._clock()
        try:
            results = list(zip(items, kind.run([item.view for item in items]), strict=True))
        except Problem as problem:
            return problem, False
        except Exception as error:
            if kind.is_lost(error):
                raise
            too_large = kind.is_out_of_memory(error)
            log.warning("%s failed for %d at once", kind.key, len(items), exc_info=not too_large)
            if len(items) == 1 and not too_large:
                self._count_failure(error)
            return EngineFailed(), too_large
        seconds = self._clock() - begun
        self._failures = 0
        self._recover(items[0].key)
        for item, result in results:
            _later(item.future, Ran(result, seconds, len(items)))
        return None, False

    def _count_failure(self, error: Exception) -> None:
        """A second net below `is_lost`: not every error of a broken device says that it is."""
        self._failures += 1
        if self._failures >= self._failures_max:
            raise DeviceUseless(f"{self._failures} pictures in a row failed, the last one by {error!r}") from error

    def _pixels_together(self, item: "_Item") -> int:
        return self._careful.get(item.key, (item.kind.pixels_together, 0))[0]

    def _recover(self, key: Hashable) -> None:
        if key in self._careful:
            pixels, calls = self._careful.pop(key)
            if calls > 1:
                self._careful[key] = (pixels, calls - 1)


@dataclass(frozen=True, eq=False)
class _Item:
    kind: Kind
    view: Bytes
    deadline: float
    future: "asyncio.Future[Ran]"

    @property
    def key(self) -> Hashable:
        return self.kind.key, self.view.shape

    @property
    def pixels(self) -> int:
        return max(1, int(self.view.shape[0]) * int(self.view.shape[1]))


def _later(future: "asyncio.Future[T]", result: T) -> None:
    _in_its_loop(future, lambda: future.set_result(result))


def _later_failed(future: "asyncio.Future[T]", error: Exception) -> None:
    _in_its_loop(future, lambda: future.set_exception(error))


def _in_its_loop(future: "asyncio.Future[T]", settle: Callable[[], None]) -> None:
    def unless_done() -> None:
        if not future.done():
            settle()

    try:
        future.get_loop().call_soon_threadsafe(unless_done)
    except RuntimeError:  # the loop is closed: nobody waits any more
        log.debug("a result came after the end")
