"""The worker's HTTP: pictures in, pictures out, and what a gateway wants to know."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from aiohttp import hdrs, web

from worker import VERSION, answers, engines, outputs, pixels, studio, wishes
from worker.device import Device, Models
from worker.fetch import Fetcher
from worker.inputs import IMAGE_FIELDS, Order, Reader
from worker.options import Known
from worker.problems import Problem, answer_problems
from worker.room import Places, Room


@dataclass(frozen=True)
class Settings:
    """What a worker is started with.

    `upscaler` is None where nothing is enlarged, `weights` are a folder or the id of a hub for what needs some,
    `compiles` has torch compile the engine's network, `fetcher` is None where addresses are not fetched. At most
    `waiting_max` pictures wait behind one in work, each for at most `patience_seconds`; `pixels_in_work_max` of all
    their pixels, and of those to be made, are held at a time, and `answer_bytes_max` of finished answers until they
    are read.
    """

    engine: str = "auto"
    compiles: bool = False
    upscaler: str | None = "lanczos"
    weights: str | None = None
    upscaler_weights: str | None = None
    body_bytes_max: int = 25 * 2**20
    pixels_max: int = 50_000_000
    output_pixels_max: int = 64_000_000
    pixels_in_work_max: int = 100_000_000
    answer_bytes_max: int = 256 * 2**20
    waiting_max: int = 32
    patience_seconds: float = 120
    codec_threads: int = max(2, os.cpu_count() or 1)
    price_per_megapixel: Decimal | None = None
    fetcher: Fetcher | None = None


def runner(worker: "Worker", drain_seconds: float = 10) -> web.AppRunner:
    """The worker as an aiohttp application, with the switches that it depends on.

    A caller who hangs up cancels his handler, so that nobody works for him; compressed bodies are not blown up.
    """
    app = web.Application(middlewares=[answer_problems])
    app.add_routes(
        [
            web.post("/v1/cutout", worker.cutout, expect_handler=leave_to_reader),
            web.post("/v1/alpha", worker.alpha, expect_handler=leave_to_reader),
            *worker.upscale_routes(),
            web.get("/health", worker.health),
            web.get("/ready", worker.ready),
            web.get("/info", worker.info),
        ]
    )
    app.on_response_prepare.append(_hide_versions)
    app.cleanup_ctx.append(worker.run)
    return web.AppRunner(
        app,
        handler_cancellation=True,
        auto_decompress=False,
        lingering_time=2,
        keepalive_timeout=75,
        shutdown_timeout=drain_seconds,
        access_log=None,
    )


class Worker:
    """The handlers of one worker, and what they work with."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader = Reader(settings.body_bytes_max, settings.fetcher)
        # Bodies are as large as files: those being read are counted too, with some to spare for slow ones.
        self._reading = Places(2 * (settings.waiting_max + 1))
        self._unread = Room(settings.answer_bytes_max)
        self.device = Device(lambda: _models(settings), settings.waiting_max + 1)
        self.studio = studio.Studio(
            self.device,
            studio.Limits(
                pixels_max=settings.pixels_max,
                output_pixels_max=settings.output_pixels_max,
                pixels_in_work_max=settings.pixels_in_work_max,
                waiting_max=settings.waiting_max,
                patience_seconds=settings.patience_seconds,
                codec_threads=settings.codec_threads,
            ),
        )

    @property
    def loading(self) -> asyncio.Task[Models]:
        """The task that loads what was asked for; there is one from the start of the application on."""
        return self.device.loading

    async def run(self, _app: web.Application) -> AsyncIterator[None]:
        """Load the models while the socket already listens; at the end, forget what has not begun."""
        self.device.start()
        yield
        self.studio.close()
        await self.device.close()

    async def cutout(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/cutout: the picture without its background."""
        return await self._answered(request, await self._cut(request, wishes.CUTOUT))

    async def alpha(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/alpha: what stays (white) and what goes (black)."""
        return await self._answered(request, await self._cut(request, wishes.ALPHA))

    async def upscale(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/upscale: the picture, larger."""
        return await self._answered(request, await self._enlarged(request))

    def upscale_routes(self) -> list[web.RouteDef]:
        """The route of `upscale`, where there is an upscaler."""
        if self._settings.upscaler is None:
            return []
        return [web.post("/v1/upscale", self.upscale, expect_handler=leave_to_reader)]

    async def health(self, _request: web.Request) -> web.Response:
        """GET /health: the process is alive."""
        return web.json_response({"status": "alive"}, headers=answers.NO_STORE)

    async def ready(self, _request: web.Request) -> web.Response:
        """GET /ready: everything that was asked for is loaded, else 503 with the reason."""
        self.device.ready()
        return web.json_response({"status": "ready"}, headers=answers.NO_STORE)

    async def info(self, _request: web.Request) -> web.Response:
        """GET /info: what this worker does, how well, and within which limits."""
        settings = self._settings
        info: dict[str, object] = {
            "name": "nijika worker",
            "version": VERSION,
            **self._made_of(),
            "limits": {
                "body_bytes_max": settings.body_bytes_max,
                "pixels_max": settings.pixels_max,
                "output_pixels_max": settings.output_pixels_max,
                "pixels_in_work_max": settings.pixels_in_work_max,
                "answer_bytes_max": settings.answer_bytes_max,
                "side_max": pixels.SIDE_MAX,
                "waiting_max": settings.waiting_max,
                "patience_seconds": settings.patience_seconds,
            },
            "formats": {"in": [name.lower() for name in pixels.FORMATS], "out": list(outputs.FORMATS)},
            "fields": list(IMAGE_FIELDS),
            "options": {path: _described(known) for path, known in self._options().items()},
            "fetches_urls": settings.fetcher is not None,
        }
        return web.json_response(info, headers=answers.NO_STORE)

    def _made_of(self) -> dict[str, object]:
        try:
            models = self.device.ready()
        except Problem as problem:
            return {"engine": self._settings.engine, "quality": problem.detail, "upscaler": self._settings.upscaler}
        engine, upscaler = models.engine, models.upscaler
        return {
            "engine": engine.name,
            "quality": engine.quality,
            "resolutions": list(engine.resolutions),
            "upscaler": upscaler and upscaler.name,
            "upscaler_quality": upscaler and upscaler.quality,
            "upscaler_models": list(upscaler.models) if upscaler else [],
        }

    def _options(self) -> dict[str, Known]:
        known = {"/v1/cutout": wishes.CUTOUT, "/v1/alpha": wishes.ALPHA}
        return known if self._settings.upscaler is None else known | {"/v1/upscale": wishes.UPSCALE}

    async def _read(self, request: web.Request, known: Known) -> Order:
        self.studio.places.refuse_when_full()
        with self._reading.taken():
            return await self._reader.read(request, known)

    # What came in is let go when these return: an answer may take long to be read.

    async def _cut(self, request: web.Request, known: Known) -> studio.Done:
        order = await self._read(request, known)
        wish = wishes.Cutout.of(order.options, has_backdrop=order.has_backdrop)
        await self._reader.fetch(order)
        return await self.studio.cutout(order.data, order.backdrop, wish)

    async def _enlarged(self, request: web.Request) -> studio.Done:
        order = await self._read(request, wishes.UPSCALE)
        wish = wishes.Upscale.of(order.options)
        await self._reader.fetch(order)
        return await self.studio.upscale(order.data, wish)

    async def _answered(self, request: web.Request, done: studio.Done) -> web.StreamResponse:
        deadline = asyncio.get_running_loop().time() + self._settings.patience_seconds
        async with AsyncExitStack() as room:
            # Nobody can have taken the place that the studio has just given back: the picture keeps it until its
            # answer has room, so that not more and more of them are finished while nobody reads.
            with self.studio.places.taken():
                await room.enter_async_context(self._unread.held(len(done.file.body), deadline))
            return await answers.send(request, done, self._settings.price_per_megapixel)


def _models(settings: Settings) -> Models:
    engine = engines.load(settings.engine, settings.weights, compiles=settings.compiles)
    if settings.upscaler is None:
        return Models(engine, None)
    return Models(engine, engines.load_upscaler(settings.upscaler, settings.upscaler_weights))


def _described(known: Known) -> dict[str, dict[str, Any]]:
    return {name: {"takes": option.takes, "usual": option.default} for name, option in known.items()}


async def leave_to_reader(_request: web.Request) -> None:
    """Answer `Expect` nothing yet: the reader looks at the head first."""


async def _hide_versions(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop(hdrs.SERVER, None)
