"""How long a key that is revoked in one process is still good: there, and in the others.

`python -m bench.siege revocations` presses the dashboard's button in one process, and asks each of them with that key
without a pause until it is refused. What counts is the time from pressing, the change itself included, to the first
question that was refused.
"""

import argparse
import asyncio
import os
import re
import tempfile
import time
from pathlib import Path

import aiohttp

from bench.siege import tasks
from bench.siege.gateway import UNLIMITED, Gateway, initialised, served
from bench.siege.pinned import pid_of, pinned
from bench.siege.visitor import TOKEN, visitor
from nijika.commands.setting import Work, user, working
from nijika.store import keys
from nijika.store.keys import Made

REFUSED = 401
TARGET_SECONDS = 0.1


async def main(count: int, processes: int) -> bool:
    """Whether each was refused by all within TARGET_SECONDS."""
    with tempfile.TemporaryDirectory() as folder:
        changes = {"processes = 1 ": f"processes = {processes} ", **UNLIMITED}
        file = await asyncio.to_thread(initialised, Path(folder) / "gateway", changes, tasks.TABLE)
        with served(file) as gateway:
            await asyncio.to_thread(gateway.customer)
            made = await asyncio.to_thread(_made, file, count)
            cookie = await asyncio.to_thread(visitor, file, "good")
            here, elsewhere = await _revoked(gateway, made, cookie)
    print(f"{count} revocations, {processes} processes, load average {os.getloadavg()[0]:.1f}")
    print(f"in the process of the button: {_told(here)}\nin the others: {_told(elsewhere)}")
    return max(*here, *elsewhere) < TARGET_SECONDS


def _made(file: Path, count: int) -> list[Made]:
    """New keys of one account."""

    async def make(work: Work) -> list[Made]:
        account = (await user(work, "good"))["account"]
        return [await keys.make(work.connection, work.vault, account=account, name=f"k{n}") for n in range(count)]

    return working(argparse.Namespace(config=file, data=None), make)


async def _revoked(gateway: Gateway, made: list[Made], cookie: str) -> tuple[list[float], list[float]]:
    """Seconds for each key, in the process of the button and, for each of the others, there."""
    here: list[float] = []
    elsewhere: list[float] = []
    async with pinned(gateway) as sessions, aiohttp.ClientSession(gateway.url) as browser:
        button = await pid_of(browser)
        pids = [await pid_of(session) for session in sessions]
        for key in made:
            first = [await _status(session, key) for session in sessions]
            if any(status == REFUSED for status in first):
                raise SystemExit(f"A living key was refused: {first}")
            asking = [asyncio.create_task(_until_refused(session, key)) for session in sessions]
            fields = {"token": TOKEN}
            headers = {"Cookie": cookie}
            page = f"/dashboard/keys/{key.id}/revoke"
            pressed = time.perf_counter()
            async with browser.post(page, data=fields, headers=headers, allow_redirects=False) as answer:
                if answer.status >= REFUSED:
                    raise SystemExit(f"{page}: {answer.status} {re.sub('<.*?>', ' ', await answer.text())[-300:]}")
            for pid, refused in zip(pids, await asyncio.gather(*asking), strict=True):
                (here if pid == button else elsewhere).append(refused - pressed)
    return here, elsewhere


async def _until_refused(session: aiohttp.ClientSession, key: Made) -> float:
    """When the first question was sent that was refused."""
    while True:
        sent = time.perf_counter()
        if await _status(session, key) == REFUSED:
            return sent


async def _status(session: aiohttp.ClientSession, key: Made) -> int:
    async with session.get("/api/account", headers={"X-API-Key": key.text}) as answer:
        await answer.read()
        return answer.status


def _told(seconds: list[float]) -> str:
    times = sorted(second * 1000 for second in seconds)
    p50, p99 = times[len(times) // 2], times[min(len(times) - 1, len(times) * 99 // 100)]
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {times[-1]:.1f} ms"
