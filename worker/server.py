"""The worker's HTTP: pictures in, pictures out, and what a gateway wants to know."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import hdrs, web

from worker import VERSION, engines, outputs, pixels, studio
from worker.device import Device
from worker.fetch import Fetcher
from worker.inputs import IMAGE_FIELDS, Known, Reader
from worker.problems import NotReady, answer_problems

CUTOUT_OPTIONS: Known = {"format": tuple(outputs.FORMATS)}
ALPHA_OPTIONS: Known = {"format": ("png",)}
NO_STORE: dict[str, str] = {hdrs.CACHE_CONTROL: "no-store"}


@dataclass(frozen=True)
class Settings:
    """What a worker is started with; `fetcher` is None where addresses are not fetched."""

    engine: str = "auto"
    body_bytes_max: int = 25 * 2**20
    pixels_max: int = 50_000_000
    waiting_max: int = 8
    codec_threads: int = 2
    fetcher: Fetcher | None = None


def runner(worker: "Worker", drain_seconds: float = 10) -> web.AppRunner:
    """The worker as an aiohttp application, with the switches that it depends on.

    A caller who hangs up cancels his handler, so that nobody works for him; compressed bodies are not blown up.
    """
    app = web.Application(middlewares=[answer_problems])
    app.add_routes(
        [
            web.post("/v1/cutout", worker.cutout, expect_handler=_leave_to_reader),
            web.post("/v1/alpha", worker.alpha, expect_handler=_leave_to_reader),
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

    loading: asyncio.Task[None]

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader = Reader(settings.body_bytes_max, settings.fetcher)
        self._device = Device(lambda: engines.load(settings.engine), settings.waiting_max)
        self._studio = studio.Studio(self._device, settings.pixels_max, settings.codec_threads)

    async def run(self, _app: web.Application) -> AsyncIterator[None]:
        """Load the engine while the socket already listens; at the end, forget what has not begun."""
        self.loading = asyncio.create_task(self._device.load())
        yield
        self.loading.cancel()
        self._device.close()
        self._studio.close()

    async def cutout(self, request: web.Request) -> web.Response:
        """POST /v1/cutout: the picture with a transparent background."""
        return await self._answer(request, CUTOUT_OPTIONS, studio.cutout)

    async def alpha(self, request: web.Request) -> web.Response:
        """POST /v1/alpha: what stays (white) and what goes (black)."""
        return await self._answer(request, ALPHA_OPTIONS, studio.alpha_only)

    async def health(self, _request: web.Request) -> web.Response:
        """GET /health: the process is alive."""
        return web.json_response({"status": "alive"}, headers=NO_STORE)

    async def ready(self, _request: web.Request) -> web.Response:
        """GET /ready: the engine is loaded, else 503."""
        if not self._device.engine:
            raise NotReady("The engine is being loaded. Ask again in a few seconds.")
        return web.json_response({"status": "ready"}, headers=NO_STORE)

    async def info(self, _request: web.Request) -> web.Response:
        """GET /info: what this worker does, how well, and within which limits."""
        engine, settings = self._device.engine, self._settings
        info: dict[str, object] = {
            "name": "nijika worker",
            "version": VERSION,
            "engine": engine.name if engine else settings.engine,
            "quality": engine.quality if engine else "The engine is being loaded.",
            "limits": {
                "body_bytes_max": settings.body_bytes_max,
                "pixels_max": settings.pixels_max,
                "side_max": pixels.SIDE_MAX,
                "waiting_max": settings.waiting_max,
            },
            "formats": {"in": [name.lower() for name in pixels.FORMATS], "out": list(outputs.FORMATS)},
            "fields": list(IMAGE_FIELDS),
            "options": {"/v1/cutout": CUTOUT_OPTIONS, "/v1/alpha": ALPHA_OPTIONS},
            "fetches_urls": settings.fetcher is not None,
        }
        return web.json_response(info, headers=NO_STORE)

    async def _answer(self, request: web.Request, known: Known, finish: studio.Finish) -> web.Response:
        self._device.refuse_when_full()
        order = await self._reader.read(request, known)
        kind = order.options["format"]
        done = await self._studio.work(order.data, finish, kind)
        timing = ", ".join(f"{step};dur={seconds * 1000:.1f}" for step, seconds in done.seconds.items())
        headers: dict[str, str] = {
            **NO_STORE,
            hdrs.CONTENT_TYPE: outputs.FORMATS[kind],
            "X-Engine": done.engine,
            "X-Width": str(done.width),
            "X-Height": str(done.height),
            "Server-Timing": timing,
        }
        return web.Response(body=done.body, headers=headers)


async def _leave_to_reader(_request: web.Request) -> None:
    """Answer `Expect` nothing yet: the reader looks at the head first."""


async def _hide_versions(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop(hdrs.SERVER, None)
