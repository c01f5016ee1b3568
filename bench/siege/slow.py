"""Slow heads, slow bodies, slow readers: when the gateway cuts them, and what a good caller notices.

`python -m bench.siege slow` runs slowhttptest (-H, -B, -X) against a `nijika serve` with the deadlines that the
shipped config.toml has. Its rate limits are raised, or they would refuse most of the slow ones.
"""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.siege.gateway import UNLIMITED, Gateway, initialised, served
from bench.siege.good import calling
from bench.siege.sockets import LOOK_SECONDS, Lives
from bench.siege.worker import OPEN, working

RATE = 50  # new connections a second, as slowhttptest has it
QUIET_SECONDS = 10.0
LATE_SECONDS = 2.0
P99_SECONDS = 0.1


@dataclass(frozen=True)
class Siege:
    """One way to be slow: the options of slowhttptest, and the setting of [server] that ends it, in seconds."""

    name: str
    options: tuple[str, ...]
    path: str
    setting: str
    seconds: float


SIEGES = (
    Siege("H", ("-H", "-i", "3", "-x", "24"), "/health", "head_seconds", 10),
    Siege("B", ("-B", "-i", "3", "-x", "10", "-s", "1000000"), "/free/x", "body_seconds", 30),
    Siege("X", ("-X", "-n", "5", "-z", "32", "-w", "10", "-y", "512"), "/free/large", "write_seconds", 60),
)


async def main(connections: int, rate: int, processes: int, only: Sequence[str]) -> bool:
    """Run the sieges; whether all slow ones were cut in time, and the good caller did not notice."""
    # The slow ones have a worker of their own: it is the gateway that is looked at.
    with tempfile.TemporaryDirectory() as folder, working() as worker, working() as other:
        changes = {"http://127.0.0.1:8001": worker, "processes = 1 ": f"processes = {processes} ", **UNLIMITED}
        file = await asyncio.to_thread(initialised, Path(folder) / "gateway", changes, OPEN.format(url=other))
        with served(file) as gateway:
            key = await asyncio.to_thread(gateway.customer)
            sieges = [siege for siege in SIEGES if siege.name in only]
            fine = [await besiege(gateway, key, siege, connections, rate) for siege in sieges]
            print(await asyncio.to_thread(gateway.verify), *gateway.complaints(), sep="\n", flush=True)
    return all(fine)


async def besiege(gateway: Gateway, key: str, siege: Siege, connections: int, rate: int) -> bool:
    """One siege; the good caller calls before and during it."""
    with calling(gateway.url, key) as before:
        await asyncio.sleep(QUIET_SECONDS)
    rss = gateway.rss_mb()
    with calling(gateway.url, key) as during:
        async with Lives(urlsplit(gateway.url).port or 80) as lives:
            with _slow(gateway.url, siege, connections, rate) as process:
                while process.poll() is None and (lives.alive or lives.count < connections):
                    await asyncio.sleep(LOOK_SECONDS)
                load = os.getloadavg()[0]
                await asyncio.sleep(2 * LOOK_SECONDS)
    told = (
        f"before: {before}",
        f"during: {during}",
        f"{lives.count} connections, {lives.alive} left",
        f"the longest lived {lives.longest:.1f} s ({siege.setting} = {siege.seconds:g})",
        f"RSS {rss:.0f} -> {gateway.rss_mb():.0f} MB, load average {load:.1f}",
    )
    print(*(f"-{siege.name} {line}" for line in told), sep="\n", flush=True)
    in_time = not lives.alive and lives.longest <= siege.seconds + LATE_SECONDS
    return in_time and during.is_spotless and during.p99 < P99_SECONDS


@contextmanager
def _slow(url: str, siege: Siege, connections: int, rate: int) -> Iterator["subprocess.Popen[bytes]"]:
    seconds = round(connections / rate + siege.seconds + 20)
    options = ("-c", str(connections), "-r", str(rate), "-l", str(seconds), "-p", "20", *siege.options)
    words = ["slowhttptest", *options, "-u", url + siege.path]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:  # noqa: S603 (our own words)
        yield process
        process.terminate()
