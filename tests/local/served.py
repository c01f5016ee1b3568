"""`nijika serve` as a process of its own, with real children, for tests that send it signals."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import asyncpg
from yarl import URL

from nijika import request_id
from nijika.ledger.grant import grant
from nijika.store import keys, users
from nijika.store.vault import Vault

ROOT = Path(__file__).parents[2]
SECRET = "a secret that is long enough for all tests"
CONFIGURATION = """
[server]
port = {port}
processes = {processes}
drain_seconds = 30
secrets = ["{secret}"]
[database]
url = "{database}"
[ledger]
lease_seconds = {lease_seconds}
[upstreams.worker]
urls = ["{upstream}"]
[[middlewares]]
use = "api_key"
[[middlewares]]
use = "pricing"
[[routes]]
use = "health"
[[routes]]
use = "metrics"
[[routes]]
use = "proxy"
path = "/api/removebg"
upstream = "worker"
price = "1"
"""
PATH = "/api/removebg"


def written(database: str, upstream: str, *, port: int = 0, processes: int = 2, lease_seconds: int = 30) -> str:
    """A config.toml with one paid route."""
    return CONFIGURATION.format(
        port=port,
        secret=SECRET,
        database=database,
        upstream=upstream,
        processes=processes,
        lease_seconds=lease_seconds,
    )


class Gateway:
    """`nijika serve` and its processes."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, directory: Path) -> None:
        self.process = process
        self.url = url
        self.file = directory / "config.toml"
        self._log = directory / "log"

    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_text()

    async def reload(self) -> tuple[int, str]:
        """`nijika reload`: its status, and what it says."""
        command = (sys.executable, "-m", "nijika", "reload", "--config", str(self.file))
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        async with asyncio.timeout(120):
            said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()

    def children(self) -> set[int]:
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return {int(pid) for pid in text.split() if b"nijika.local.process" in command_of(int(pid))}

    async def end(self) -> int:
        async with asyncio.timeout(30):
            return await self.process.wait()


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.02)


async def until_refused(url: str) -> None:
    """Return when nobody listens there any more."""
    place = URL(url)
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection(place.host, place.port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.02)


@asynccontextmanager
async def served(
    directory: Path, database: str, upstream: str, *, port: int = 0, processes: int = 2, lease_seconds: int = 30
) -> AsyncIterator[Gateway]:
    """A gateway whose config.toml lies in `directory`; its folder for data, too."""
    file = directory / "config.toml"
    file.write_text(written(database, upstream, port=port, processes=processes, lease_seconds=lease_seconds))
    command = (sys.executable, "-m", "nijika", "serve", "--config", str(file))
    with (directory / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=log)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            line = (await process.stdout.readline()).decode()
        assert line.startswith("listening on "), line
        yield Gateway(process, line.split()[-1], directory)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def customer(database: str) -> dict[str, str]:
    """The fields of an account with a million credits."""
    connection = await asyncpg.connect(database)
    async with connection.transaction():
        _, account = await users.add(connection, name="customer", email=None, role="user")
        await grant(connection, request_id.make(), account, 10**12, "test")
        key = await keys.make(connection, Vault([SECRET]), account=account, name="k")
    await connection.close()
    return {"X-API-Key": key.text}


async def call(url: str, fields: dict[str, str]) -> int:
    """One call on a connection of its own, so that the kernel chooses a process for it."""
    async with aiohttp.ClientSession() as session, session.post(url + PATH, data=b"p", headers=fields) as answer:
        await answer.read()
        return answer.status
