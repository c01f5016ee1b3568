"""Two real gateways, of which one is stopped for longer than its lease: nothing is settled twice, nothing given away."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from nijika import request_id
from nijika.ledger.grant import grant
from nijika.ledger.verify import verify
from nijika.store import keys, users
from nijika.store.vault import Vault, make_key
from tests.peers import answers, raw, streams
from tests.peers.upstream import Upstream

ROOT = Path(__file__).parents[2]
SECRET = "a secret that is long enough for all tests"
CONFIGURATION = """
[server]
port = 0
drain_seconds = 30
secrets = ["{secret}"]
[database]
url = "{database}"
[ledger]
lease_seconds = 2
[upstreams.worker]
urls = ["{upstream}"]
[[middlewares]]
use = "api_key"
[[middlewares]]
use = "pricing"
[[routes]]
use = "proxy"
path = "/api/removebg"
upstream = "worker"
price = "1"
"""


class Serve:
    """One process of a gateway, and the address that it prints."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url

    async def end(self) -> tuple[int, str]:
        """Its status, and what it said, once it has ended by itself."""
        async with asyncio.timeout(30):
            _, text = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, text.decode()


@asynccontextmanager
async def serving(file: Path) -> AsyncIterator[Serve]:
    words = ("-m", "tests.crash.alone", "--config", str(file), "--data", str(file.parent / "data"))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=ROOT, stdout=pipe, stderr=pipe)
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        assert line.startswith("listening on "), line
        yield Serve(process, line.removeprefix("listening on ").strip())
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.fixture
def file(tmp_path: Path, database: str, upstream: Upstream) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(CONFIGURATION.format(secret=SECRET, database=database, upstream=upstream.url))
    return file


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def customer(connection: asyncpg.Connection) -> tuple[int, bytes]:
    """An account with 10 credits, and the bytes of a call with its key."""
    vault, key = Vault([SECRET]), make_key()
    async with connection.transaction():
        _, account = await users.add(connection, name="customer", email=None, role="user")
        await grant(connection, request_id.make(), account, 10_000_000, "test")
        await keys.add(connection, account=account, name="k", digest=vault.digest(key), sealed=None, hint=key[-4:])
    call = f"POST /api/removebg HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nContent-Length: 7\r\n\r\npicture"
    return account, call.encode()


async def until(connection: asyncpg.Connection, state: str) -> None:
    async with asyncio.timeout(30):
        while await connection.fetchval("SELECT count(*) FROM charges WHERE state = $1", state) == 0:
            await asyncio.sleep(0.05)


async def test_who_was_stopped_past_its_lease_gives_nothing_away_and_ends_with_a_sentence(
    file: Path, upstream: Upstream, connection: asyncpg.Connection
) -> None:
    account, call = await customer(connection)
    gate = asyncio.Event()
    upstream.plan("/api/removebg", streams.gated(gate, answers.answer(200, b"cut-out")))

    async with serving(file) as stopped, serving(file) as sweeping:
        async with raw.connect(stopped.url) as client:
            await client.send(call)
            await upstream.request()
            stopped.process.send_signal(signal.SIGSTOP)
            await until(connection, "refunded")
            gate.set()
            stopped.process.send_signal(signal.SIGCONT)
            came = await client.rest()  # a refusal, or nothing but a reset: whichever the gateway notices first
        status, text = await stopped.end()
        async with raw.connect(sweeping.url) as client:
            other = await client.ask(call)

    assert b"cut-out" not in came
    assert came == b"" or came.startswith(b"HTTP/1.1 503 ")
    assert status == 1
    assert "another one has given its open charges back" in text
    assert "Traceback" not in text
    assert (other.status, other.body) == (200, b"cut-out")
    row = await connection.fetchrow("SELECT available, held, spent FROM accounts WHERE id = $1", account)
    assert tuple(row or ()) == (9_000_000, 0, 1_000_000)
    assert not any((await verify(connection)).values())


async def test_what_a_killed_gateway_held_is_given_back_by_the_next_one(
    file: Path, upstream: Upstream, connection: asyncpg.Connection
) -> None:
    account, call = await customer(connection)
    upstream.plan("/api/removebg", streams.gated(asyncio.Event(), answers.answer(200, b"cut-out")))

    async with serving(file) as killed, raw.connect(killed.url) as client:
        await client.send(call)
        await upstream.request()
        killed.process.kill()
        await killed.end()
    async with serving(file):
        await until(connection, "refunded")

    row = await connection.fetchrow("SELECT available, held, spent FROM accounts WHERE id = $1", account)
    assert tuple(row or ()) == (10_000_000, 0, 0)
    assert not any((await verify(connection)).values())
