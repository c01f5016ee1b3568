"""The one thread that owns the engine, and the places of the pictures that are being worked on or wait for it."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from worker.engines import Engine
from worker.pixels import Bytes
from worker.problems import Busy, NotReady


@dataclass(frozen=True)
class Matte:
    """What the engine answered, (H, W) uint8, 255 where the picture stays; its name, and what it took."""

    alpha: Bytes
    engine: str
    queue_seconds: float
    device_seconds: float


class Device:
    """An engine, loaded and run in a thread of its own, one picture after the other, in the order of their coming."""

    def __init__(self, load: Callable[[], Engine], waiting_max: int) -> None:
        self._load = load
        self.engine: Engine | None = None  # once it is loaded
        self._places_left = waiting_max + 1
        self._thread = ThreadPoolExecutor(1, "device")

    async def load(self) -> None:
        """Load the engine; pictures that come meanwhile wait for it. Raises whatever the engine raises."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._make)

    def refuse_when_full(self) -> None:
        """Raise Busy if no place is left."""
        if self._places_left <= 0:
            raise Busy

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one place, from the first decoded pixel to the last encoded one. Raises Busy."""
        self.refuse_when_full()
        self._places_left -= 1
        try:
            yield
        finally:
            self._places_left += 1

    async def alpha(self, rgb: Bytes) -> Matte:
        """Give `rgb` (H, W, 3) uint8 to the engine; whoever is cancelled while he waits is left out."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, rgb, time.perf_counter())

    def close(self) -> None:
        """Forget the waiting pictures; the one in work is finished."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _make(self) -> None:
        self.engine = self._load()

    def _work(self, rgb: Bytes, asked: float) -> Matte:
        begun = time.perf_counter()
        if self.engine is None:
            raise NotReady("The engine could not be loaded. Tell the operator.")
        alpha = self.engine.alpha(rgb)
        return Matte(alpha, self.engine.name, begun - asked, time.perf_counter() - begun)
