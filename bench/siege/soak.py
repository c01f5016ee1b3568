"""Ten minutes of everything: what the gateway's processes hold afterwards is what they held before.

`python -m bench.siege soak --seconds 600`. The start is looked at after a minute of the same traffic, when each of its
caches and pools was used.
"""

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench.siege import tasks
from bench.siege.calls import KINDS, Caller
from bench.siege.gateway import UNLIMITED, Gateway, initialised, served
from bench.siege.pinned import pinned
from bench.siege.visitor import visitor
from bench.siege.worker import OPEN, working

WARM_SECONDS = 60.0
ROUND_SECONDS = 60.0
PAUSE_SECONDS = 0.05
REST_SECONDS = 10.0  # connections to workers are kept for less than that
GROWTH = 1.1


@dataclass(frozen=True)
class Holding:
    """What all processes hold together, at rest."""

    rss_mb: float
    descriptors: int
    tasks: int

    def __str__(self) -> str:
        return f"RSS {self.rss_mb:.0f} MB, {self.descriptors} descriptors, {self.tasks} tasks"


async def main(seconds: float, processes: int) -> bool:
    """Whether all calls were answered as they are to be, and everything was given back."""
    with tempfile.TemporaryDirectory() as folder, working() as worker:
        changes = {"http://127.0.0.1:8001": worker, "processes = 1 ": f"processes = {processes} ", **UNLIMITED}
        more = OPEN.format(url=worker) + tasks.TABLE
        file = await asyncio.to_thread(initialised, Path(folder) / "gateway", changes, more)
        with served(file) as gateway:
            key = await asyncio.to_thread(gateway.customer)
            cookie = await asyncio.to_thread(visitor, file, "good")
            fine = await soak(gateway, key, cookie, seconds)
            print(await asyncio.to_thread(gateway.verify), *gateway.complaints(), sep="\n", flush=True)
    return fine


async def soak(gateway: Gateway, key: str, cookie: str, seconds: float) -> bool:
    """Traffic for so long, told of once a minute."""
    await _traffic(gateway, key, cookie, WARM_SECONDS)
    start = await _at_rest(gateway)
    print(f"start: {start}", flush=True)
    answers: Counter[str] = Counter()
    while seconds > 0:
        answers += await _traffic(gateway, key, cookie, min(seconds, ROUND_SECONDS))
        seconds -= ROUND_SECONDS
        print(
            f"{answers.total()} calls: RSS {gateway.rss_mb():.0f} MB, load average {os.getloadavg()[0]:.1f}", flush=True
        )
    end = await _at_rest(gateway)
    print(*(f"{count} x {what}" for what, count in sorted(answers.items())), f"end: {end}", sep="\n", flush=True)
    expected = {f"{call.__name__} {told}" for call, (_, told) in KINDS.items()}
    given_back = end.descriptors <= start.descriptors and end.tasks <= start.tasks
    return given_back and end.rss_mb <= start.rss_mb * GROWTH and set(answers) == expected


async def _traffic(gateway: Gateway, key: str, cookie: str, seconds: float) -> Counter[str]:
    end = asyncio.get_running_loop().time() + seconds
    answers: Counter[str] = Counter()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(gateway.url, connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        caller = Caller(session, gateway.url, key, cookie)
        async with asyncio.TaskGroup() as group:
            for call, (count, _) in KINDS.items():
                for _ in range(count):
                    group.create_task(_again(call, caller, end, answers))
    return answers


async def _again(call: Callable[[Caller], Awaitable[str]], caller: Caller, end: float, answers: Counter[str]) -> None:
    while asyncio.get_running_loop().time() < end:
        try:
            told = await call(caller)
        except (aiohttp.ClientError, OSError) as error:
            told = type(error).__name__
        answers[f"{call.__name__} {told}"] += 1
        await asyncio.sleep(PAUSE_SECONDS)


async def _at_rest(gateway: Gateway) -> Holding:
    """What is held once nothing is under way."""
    await asyncio.sleep(REST_SECONDS)
    async with pinned(gateway) as sessions:
        count = sum([await _tasks(session) for session in sessions])
    await asyncio.sleep(1)
    return Holding(gateway.rss_mb(), gateway.descriptors(), count)


async def _tasks(session: aiohttp.ClientSession) -> int:
    async with session.get("/tasks") as answer:
        count: int = (await answer.json())["tasks"]
        return count
