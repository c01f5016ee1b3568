"""A worker for sieges: it answers at once, fails, streams, or sends more than anybody wants to read.

A process of its own: `python -m bench.siege.worker` prints its address, and ends with its input.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from aiohttp import web

from bench.siege.gateway import ROOT
from nijika.server import bind

OPEN = """
[upstreams.open]
urls = ["{url}"]
[[routes]]
use = "proxy"
path = "/free/*"
methods = ["GET", "POST"]
upstream = "open"
target = "/open/*"
price = "free"
body_bytes_max = 1000000000
"""
"""The part of a config.toml that shows this worker's open paths to everybody."""
PICTURE = bytes(range(256)) * 40
BLOCK = bytes(65_536)
EVENTS = 5


@contextmanager
def working() -> Iterator[str]:
    """Its address, until the block ends."""
    words = [sys.executable, "-m", "bench.siege.worker"]
    with subprocess.Popen(  # noqa: S603 (our own words)
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.communicate()


async def main() -> None:
    """Work until the input ends."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/v1/cutout", _cutout)
    app.router.add_get("/ready", _ready)
    app.router.add_route("*", "/open/large", _large)
    app.router.add_route("*", "/open/events", _events)
    app.router.add_route("*", "/open/{rest:.*}", _swallow)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, bind("127.0.0.1", 0), backlog=1024).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


async def _ready(_: web.Request) -> web.Response:
    return web.Response()


async def _cutout(request: web.Request) -> web.Response:
    with suppress(ConnectionError):
        async for _ in request.content.iter_any():
            pass
    if "fail" in request.query:
        return web.Response(status=500, text="out of memory")
    await asyncio.sleep(float(request.query.get("seconds", "0")))
    return web.Response(body=PICTURE, content_type="image/png")


async def _swallow(request: web.Request) -> web.Response:
    count = 0
    with suppress(ConnectionError):
        async for piece in request.content.iter_any():
            count += len(piece)
    return web.Response(text=str(count))


async def _large(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_length = 200 * len(BLOCK)
    await response.prepare(request)
    with suppress(ConnectionError):
        for _ in range(200):
            await response.write(BLOCK)
    return response


async def _events(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    with suppress(ConnectionError):
        for number in range(EVENTS):
            await response.write(b"data: %d\n\n" % number)
            await asyncio.sleep(0.1)
    return response


if __name__ == "__main__":
    asyncio.run(main())
