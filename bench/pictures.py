"""A worker with a stand-in for the engine, and the servers that it is compared with; each runs in its own process.

`python -m bench.pictures NAME` listens on a free port, prints it, and tells at /lag how long its loop was blocked.
"""

import asyncio
import io
import sys
import threading
import time
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from aiohttp import web
from PIL import Image

from worker import engines, layout
from worker.pixels import Bytes
from worker.server import Settings, Worker, runner

DEVICE_SECONDS = 0.06  # for each picture: a batch takes as long as its pictures one by one, so it gains nothing here
SIDE = 1024
TICK = 0.005


def mask() -> Bytes:
    """A soft ellipse, (SIDE, SIDE) uint8: what both answer for every picture."""
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    cv2.ellipse(alpha, (SIDE // 2, SIDE // 2), (SIDE * 3 // 10, SIDE * 4 // 10), 15, 0, 360, 255, -1)
    return np.asarray(cv2.GaussianBlur(alpha, (0, 0), 2), np.uint8)


class StandIn:
    """Sleeps for as long as a network would work, without the interpreter's lock."""

    name = "stand-in"
    quality = "It knows one ellipse."
    resolutions: tuple[int, ...] = (SIDE,)
    pixels_together = 16 * SIDE * SIDE

    def __init__(self) -> None:
        self._mask = mask()

    def view(self, rgb: Bytes, resolution: int | None) -> Bytes:
        """What a network takes: a square."""
        del resolution
        small = layout.halved(rgb, (SIDE, SIDE))
        return np.asarray(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.uint8)

    def alphas(self, views: Sequence[Bytes]) -> Sequence[Bytes]:
        """The same for all."""
        time.sleep(DEVICE_SECONDS * len(views))
        return [self._mask for _ in views]

    def enlarge(self, alpha: Bytes, view: Bytes, rgb: Bytes) -> Bytes:
        """Drawn up, linearly."""
        del view
        return np.asarray(cv2.resize(alpha, rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)

    def warm_up(self) -> None:
        """Nothing to do."""

    def is_out_of_memory(self, error: Exception) -> bool:
        """Never."""
        del error
        return False

    def is_lost(self, error: Exception) -> bool:
        """Never."""
        del error
        return False


class OneByOne:
    """What issue 5 says of the original: decoding, model and encoding within the event loop, one after the other."""

    def __init__(self) -> None:
        self._mask = Image.fromarray(mask())

    async def cutout(self, request: web.Request) -> web.Response:
        """The picture as a PNG or WebP with Pillow's usual settings."""
        data = await request.read()
        image = Image.open(io.BytesIO(data)).convert("RGB")
        square = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32) / 255
        _normalised = (square - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
        time.sleep(DEVICE_SECONDS)  # noqa: ASYNC251 (this is what is compared with)
        image.putalpha(self._mask.resize(image.size, Image.Resampling.BILINEAR))
        out = io.BytesIO()
        image.save(out, request.query.get("format", "png"))
        return web.Response(body=out.getvalue(), content_type="image/png")


class OneImage:
    """The habits of rembg's server: each call in a thread, Pillow for all, the network on one picture at a time.

    Source: github.com/danielgatis/rembg, `rembg s` and `bg.remove` (its defaults: no matting, no mask cleaning).
    """

    def __init__(self) -> None:
        self._mask = Image.fromarray(mask())
        self._device = threading.Lock()

    async def cutout(self, request: web.Request) -> web.Response:
        """The picture as a PNG."""
        return web.Response(
            body=await asyncio.to_thread(self._cut, await request.read()),
            content_type="image/png",
        )

    def _cut(self, data: bytes) -> bytes:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        square = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS), np.float32)
        _normalised = (square / max(square.max(), 1e-6) - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
        with self._device:
            time.sleep(DEVICE_SECONDS)
        matte = self._mask.resize(image.size, Image.Resampling.LANCZOS)
        cut = Image.composite(image.convert("RGBA"), Image.new("RGBA", image.size, 0), matte)
        out = io.BytesIO()
        cut.save(out, "PNG")
        return out.getvalue()


class Lag:
    """Wakes up two hundred times a second, and remembers by how much it was late."""

    def __init__(self) -> None:
        self._late: list[float] = []

    async def watch(self, _app: web.Application) -> object:
        """Run beside the server."""
        task = asyncio.create_task(self._tick())
        yield
        task.cancel()

    async def tell(self, _request: web.Request) -> web.Response:
        """The milliseconds since the last time it was asked: the longest, and what 99.9 % are under."""
        late, self._late = sorted(self._late) or [0.0], []
        return web.json_response({"longest": late[-1] * 1000, "p999": late[int(len(late) * 0.999)] * 1000})

    async def _tick(self) -> None:
        while True:
            due = time.perf_counter() + TICK
            await asyncio.sleep(TICK)
            self._late.append(time.perf_counter() - due)


def usual(server: OneByOne | OneImage) -> web.AppRunner:
    """A server that is compared with."""
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/cutout", server.cutout)
    return web.AppRunner(app, access_log=None)


def ours() -> web.AppRunner:
    """The worker as it is, but for the engine."""
    engines.load = lambda *_, **__: StandIn()
    return runner(Worker(Settings(body_bytes_max=2**26)))


async def serve(run: web.AppRunner) -> None:
    """Listen until the end of the process."""
    lag = Lag()
    run.app.router.add_get("/lag", lag.tell)
    run.app.cleanup_ctx.append(lag.watch)  # type: ignore[arg-type]  # an async generator
    await run.setup()
    await web.TCPSite(run, "127.0.0.1", 0).start()
    sys.stdout.write(f"{run.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    made: dict[str, Callable[[], web.AppRunner]] = {
        "ours": ours,
        "one-by-one": lambda: usual(OneByOne()),
        "one-image": lambda: usual(OneImage()),
    }
    asyncio.run(serve(made[sys.argv[1]]()))
