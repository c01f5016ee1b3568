"""What is loaded on the device, and how pictures are given to it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from worker.batcher import Batcher, Kind, Ran
from worker.engines import Engine, Upscaler
from worker.pixels import Bytes
from worker.problems import EngineGone, EngineMissing, NotReady, Problem

TILES_AT_ONCE = 16  # of one picture; others get their turn in between


@dataclass(frozen=True)
class Models:
    """What was asked for at start."""

    engine: Engine
    upscaler: Upscaler | None


@dataclass(frozen=True)
class Enlarging:
    """How one picture's tiles are enlarged; `keep` is given them in their order, some at a time."""

    model: str
    denoise: float | None
    deadline: float
    keep: Callable[[Sequence[Bytes]], Awaitable[object]]


class Device:
    """The models, made, warmed up and run in one thread, behind a queue of at most `waiting_max` pictures."""

    loading: asyncio.Task[Models]

    def __init__(self, make: Callable[[], Models], waiting_max: int) -> None:
        self._make = make
        self._batcher = Batcher(waiting_max * TILES_AT_ONCE)

    def start(self) -> None:
        """Begin to load; pictures that come meanwhile wait for it."""
        self.loading = asyncio.create_task(self._batcher.start(self._warm))

    async def models(self) -> Models:
        """What is loaded, once it is. Raises EngineMissing, EngineGone."""
        try:
            return await asyncio.shield(self.loading)
        except Problem:
            raise
        except Exception as error:
            raise EngineMissing(error) from error

    def ready(self) -> Models:
        """What is loaded. Raises NotReady while it is not yet, EngineMissing, EngineGone."""
        if not self.loading.done():
            raise NotReady("The engine is being loaded. Ask again in a few seconds.")
        error = self.loading.exception()
        if isinstance(error, Exception):
            raise error if isinstance(error, Problem) else EngineMissing(error) from error
        if self.failure:
            raise EngineGone(self.failure)
        return self.loading.result()

    @property
    def failure(self) -> BaseException | None:
        """What ended the thread, if anything did."""
        return self._batcher.failure

    async def until_gone(self) -> None:
        """Return when the thread has ended by a failure."""
        await asyncio.shield(self._batcher.over)

    async def alpha(self, engine: Engine, view: Bytes, deadline: float) -> Ran:
        """Give one view to the engine. Raises as Batcher.run does."""
        kind = Kind("alphas", engine.alphas, engine.pixels_together, engine.is_out_of_memory, engine.is_lost)
        return await self._batcher.run(kind, view, deadline)

    async def enlarge(self, upscaler: Upscaler, tiles: Iterable[Bytes], how: Enlarging) -> float:
        """Give the tiles of one picture to the upscaler; the seconds are their share of the calls.

        At most TILES_AT_ONCE of them are in work; when `how.keep` has taken those, they are forgotten here.
        Raises as Batcher.run and `how.keep` do.
        """
        run = partial(upscaler.enlarge, model=how.model, denoise=how.denoise)
        key = ("enlarge", how.model, how.denoise)
        kind = Kind(key, run, upscaler.pixels_together, upscaler.is_out_of_memory, upscaler.is_lost)
        seconds, left = 0.0, iter(tiles)
        while group := list(islice(left, TILES_AT_ONCE)):
            seconds += await self._enlarge(kind, group, how)
        return seconds

    async def close(self) -> None:
        """Refuse the waiting pictures; the call in work is finished."""
        self.loading.cancel()
        await self._batcher.close()

    async def _enlarge(self, kind: Kind, tiles: Sequence[Bytes], how: Enlarging) -> float:
        # A function of its own, so that nothing refers to the enlarged tiles when the next ones are made.
        done = await self._all(kind, tiles, how.deadline)
        await how.keep([ran.result for ran in done])
        return sum(ran.seconds / ran.together for ran in done)

    async def _all(self, kind: Kind, views: Sequence[Bytes], deadline: float) -> list[Ran]:
        tasks = [asyncio.create_task(self._batcher.run(kind, view, deadline)) for view in views]
        try:
            return await asyncio.gather(*tasks)
        finally:
            # One that failed leaves the others behind.
            for task in tasks:
                task.cancel()

    def _warm(self) -> Models:
        models = self._make()
        models.engine.warm_up()
        if models.upscaler:
            models.upscaler.warm_up()
        return models
