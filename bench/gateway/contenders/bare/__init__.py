"""The bare aiohttp proxy that all others are compared with (proxy.py), on nijika's own aiohttp, and uvloop."""

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from bench.gateway import ports
from bench.gateway.contenders.uv import UVLOOP, uvloop
from bench.gateway.processes import python, running
from bench.gateway.serving import Contender, Ground, Served

START_SECONDS = 20


class Bare(Contender):
    """What Python's most used HTTP server and client do together, if nothing else is done."""

    name = "bare"
    what = "aiohttp server and client, uvloop, 40 lines"

    def install(self) -> str:
        """The versions of aiohttp and uvloop."""
        uvloop()
        return f"{aiohttp.__version__}, {UVLOOP}"

    @contextmanager
    def serve(self, ground: Ground) -> Iterator[Served]:
        """Run it."""
        port, place = ports.free(), ground.cores.gateway()
        words = python("-m", "bench.gateway.contenders.bare.proxy", str(port), str(ground.upstream))
        with running(words, cores=place, log=ground.folder / "log", variables=uvloop()) as process:
            process.await_listening(port, START_SECONDS)
            yield Served(port, [process], place)
