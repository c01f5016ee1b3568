"""One picture's way through the threads: its head, room for its pixels, decoded, given to the device, encoded."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from worker import pixels, upscaling, wishes
from worker.cutout import Cutting, File
from worker.device import Device, Enlarging, Models
from worker.engines import Engine, Upscaler
from worker.pixels import Bytes, Picture
from worker.problems import TooLate, of_backdrop
from worker.room import Places, Room
from worker.upscaling import Upscaling

T = TypeVar("T")

STEPS = ("queue", "decode", "device", "clean", "encode")


@dataclass(frozen=True)
class Limits:
    """What a studio takes; each is told in worker.server.Settings."""

    pixels_max: int
    output_pixels_max: int
    pixels_in_work_max: int
    waiting_max: int
    patience_seconds: float
    codec_threads: int


@dataclass(frozen=True)
class Done:
    """A finished file, who made it, how many pixels came in, and the seconds of each of STEPS that there was."""

    file: File
    engine: str
    pixels: int
    seconds: dict[str, float]


class Studio:
    """Codecs run in a small pool of threads, beside the device's own."""

    def __init__(self, device: Device, limits: Limits) -> None:
        self.places = Places(limits.waiting_max + 1)
        self._device = device
        self._limits = limits
        self._pixels = Room(limits.pixels_in_work_max)
        self._codecs = ThreadPoolExecutor(limits.codec_threads, "codec")

    async def cutout(self, data: bytes, backdrop: bytes | None, wish: wishes.Cutout) -> Done:
        """Cut out the picture in `data`, onto the one in `backdrop` if any.

        Raises as pixels.decode, Batcher.run and Device.models do, and BadOption, BadBackdrop, TooLong.
        """
        with self.places.taken():
            course = _Course(self._limits.patience_seconds)
            engine = (await self._models(course.deadline)).engine
            wish.check(engine)
            sizes = [await self._announced(data, course)]
            if backdrop is not None:
                with of_backdrop():
                    sizes.append(await self._announced(backdrop, course))
            course.pixels = sizes[0][0] * sizes[0][1]
            async with self._pixels.held(sum(width * height for width, height in sizes), course.deadline):
                make = partial(self._cutting, data, backdrop, wish, engine)
                cutting = course.took("decode", await self._in_codecs(make, course.deadline))
                ran = await self._device.alpha(engine, cutting.view, course.deadline)
                course.seconds["device"] = ran.seconds
                file = course.took("encode", await self._in_codecs(partial(cutting.finish, ran.result)))
        return course.done(file, engine.name)

    async def upscale(self, data: bytes, wish: wishes.Upscale) -> Done:
        """Enlarge the picture in `data`. Raises as `cutout` does, and as upscaling.room."""
        with self.places.taken():
            course = _Course(self._limits.patience_seconds)
            upscaler = (await self._models(course.deadline)).upscaler
            assert upscaler, "the route is there only with one"
            model = wish.model_of(upscaler)
            size = await self._announced(data, course)
            course.pixels = size[0] * size[1]
            made = upscaling.room(size, wish, upscaler, self._limits.output_pixels_max)
            async with self._pixels.held(course.pixels + made, course.deadline):
                make = partial(self._upscaling, data, wish, upscaler)
                job = course.took("decode", await self._in_codecs(make, course.deadline))
                how = Enlarging(model, wish.denoise, course.deadline, partial(self._added, job))
                course.seconds["device"] = await self._device.enlarge(upscaler, job.tiles, how)
                file = course.took("encode", await self._in_codecs(job.finish))
        return course.done(file, upscaler.name)

    def close(self) -> None:
        """Forget the pictures that no thread has begun."""
        self._codecs.shutdown(wait=False, cancel_futures=True)

    async def _models(self, deadline: float) -> Models:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._device.models()
        except TimeoutError as error:
            raise TooLate from error

    async def _announced(self, data: bytes, course: "_Course") -> tuple[int, int]:
        look = partial(pixels.announced, data, self._limits.pixels_max)
        size, _ = await self._in_codecs(look, course.deadline)
        return size

    async def _added(self, job: Upscaling, tiles: Sequence[Bytes]) -> None:
        await self._in_codecs(partial(job.add, tiles))

    def _cutting(self, data: bytes, backdrop: bytes | None, wish: wishes.Cutout, engine: Engine) -> Cutting:
        with of_backdrop():
            behind = None if backdrop is None else self._decoded(backdrop)
        return Cutting(self._decoded(data), behind, wish, engine)

    def _upscaling(self, data: bytes, wish: wishes.Upscale, upscaler: Upscaler) -> Upscaling:
        return Upscaling(self._decoded(data), wish, upscaler)

    def _decoded(self, data: bytes) -> Picture:
        return pixels.decode(data, self._limits.pixels_max)

    async def _in_codecs(self, job: Callable[[], T], deadline: float | None = None) -> tuple[T, float]:
        """Run `job` in a thread, and do not return, even when cancelled, while it runs: its pixels are still there.

        Raises TooLate if no thread has begun it by `deadline`; what the device has worked for has none.
        """
        work = self._codecs.submit(_timed, job)
        result = asyncio.wrap_future(work)
        try:
            await asyncio.wait([result], timeout=_until(deadline))
            if not result.done() and work.cancel():
                raise TooLate
            await asyncio.wait([result])
            return result.result()
        finally:
            if not work.cancel():
                await _outlast(result)


class _Course:
    """What one picture has taken so far; whatever no step has taken was spent waiting."""

    def __init__(self, patience_seconds: float) -> None:
        self._begun = time.perf_counter()
        self.deadline = time.monotonic() + patience_seconds  # the clock of the loop and of the batcher
        self.pixels = 0
        self.seconds: dict[str, float] = {}

    def took(self, step: str, timed: tuple[T, float]) -> T:
        result, self.seconds[step] = timed
        return result

    def done(self, file: File, engine: str) -> Done:
        taken = dict(self.seconds)
        taken["queue"] = max(0.0, time.perf_counter() - self._begun - sum(taken.values()))
        if file.cleaning is not None:
            taken["clean"] = file.cleaning
            taken["encode"] -= file.cleaning
        return Done(file, engine, self.pixels, {step: taken[step] for step in STEPS if step in taken})


def _until(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - asyncio.get_running_loop().time())


async def _outlast(result: "asyncio.Future[T]") -> None:
    """Return when `result` is done, however often the task is cancelled meanwhile."""
    while not result.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([result])
    if not result.cancelled():
        result.exception()  # whoever was cancelled will not ask for it


def _timed(job: Callable[[], T]) -> tuple[T, float]:
    begun = time.perf_counter()
    return job(), time.perf_counter() - begun
