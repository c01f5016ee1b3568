"""`nijika serve` with two processes: one scrape, whoever answers it, has the numbers of both."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from nijika.metrics.together import Folder
from tests.peers import answers
from tests.peers.upstream import Upstream
from tests.scrape import Scrape, scrape

ROOT = Path(__file__).parents[2]
CONFIGURATION = """
[server]
port = 0
processes = 2
log = "json"
secrets = ["a secret that is long enough for all tests"]
[database]
url = "{database}"
[upstreams.worker]
urls = ["{upstream}"]
[[routes]]
use = "metrics"
[[routes]]
use = "proxy"
path = "/free"
methods = ["GET"]
upstream = "worker"
price = "free"
"""


class Served:
    """The gateway's processes, and the folder in which they count."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, folder: Folder, log: Path) -> None:
        self.folder = folder
        self.log = log
        self._process = process
        self._url = url

    def children(self) -> list[int]:
        own = f"/proc/{self._process.pid}/task/{self._process.pid}/children"
        return [int(pid) for pid in Path(own).read_text().split()]

    async def ask(self, count: int) -> None:
        """So many requests, each on a connection of its own, so that the kernel chooses a process for it."""
        for _ in range(count):
            async with aiohttp.ClientSession(self._url) as session, session.get("/free") as answer:
                assert answer.status == 200

    async def scrape(self) -> Scrape:
        async with aiohttp.ClientSession(self._url) as session:
            return await scrape(session)

    async def until_counted(self, count: int) -> None:
        async with asyncio.timeout(15):
            while free(await self.scrape()) < count:
                await asyncio.sleep(0.02)


def free(scrape: Scrape) -> float:
    return scrape.value("nijika_requests_total", route="/free")


@pytest.fixture
async def served(tmp_path: Path, database: str, upstream: Upstream) -> AsyncIterator[Served]:
    file, log = tmp_path / "config.toml", tmp_path / "log"
    file.write_text(CONFIGURATION.format(database=database, upstream=upstream.url))
    command = (sys.executable, "-m", "nijika", "serve", "--config", str(file))
    with Folder(tmp_path) as folder, log.open("ab") as stderr:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env=os.environ | folder.environment,
        )
        try:
            assert process.stdout is not None
            line = (await process.stdout.readline()).decode()
            assert line.startswith("listening on "), line
            yield Served(process, line.split()[-1], folder, log)
        finally:
            process.terminate()
            await process.wait()


async def test_requests_are_counted_exactly_whichever_process_is_asked_and_also_when_one_is_killed(
    served: Served, upstream: Upstream
) -> None:
    upstream.plan("*", answers.answer(200, b"free"))
    await served.ask(40)
    await served.until_counted(40)
    told = {free(await served.scrape()) for _ in range(12)}
    alive = (await served.scrape()).value("nijika_processes")

    killed = served.children()[0]
    os.kill(killed, signal.SIGKILL)
    async with asyncio.timeout(30):
        while killed in served.children():
            await asyncio.sleep(0.02)
    served.folder.ended(killed)
    after = await served.scrape()
    await served.ask(10)
    await served.until_counted(50)
    async with asyncio.timeout(30):
        while (last := await served.scrape()).value("nijika_processes") < 2:
            await asyncio.sleep(0.02)

    assert (told, alive) == ({40}, 2)
    assert (free(after), after.value("nijika_processes")) in {(40, 1), (40, 2)}
    assert (free(last), last.value("nijika_processes")) == (50, 2)
    assert last.value("nijika_config_reload_success") == 1
    lines = [json.loads(line) for line in served.log.read_text().splitlines()]
    assert sum(line.get("route") == "/free" for line in lines) == 50
    assert any(str(killed) in line["message"] for line in lines), "the supervisor writes in that form, too"
