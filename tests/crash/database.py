"""The database of a run, as the harness sees it: at a fixed address, crashed on demand, read at the end."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from nijika.database import OUTAGE
from nijika.ledger.verify import verify
from tests.crash import ports, process
from tests.crash.plan import LOOPBACK
from tests.crash.records import Charge

_START_SECONDS = 60
_POLL_SECONDS = 0.01


class Database:
    """PostgreSQL in `directory` on `port`."""

    def __init__(self, directory: Path, port: int) -> None:
        self.url = f"postgresql://nijika@{LOOPBACK}:{port}/nijika"
        self.crashes = 0
        self._pid_file = directory / "postgres" / "postmaster.pid"
        self._up_since = 0.0
        self._crashed: int | None = None

    async def ready(self) -> int:
        """Wait for a server that has not been crashed; returns its pid."""
        async with asyncio.timeout(_START_SECONDS):
            while (pid := self._serving()) in {None, self._crashed}:
                await asyncio.sleep(_POLL_SECONDS)
        assert pid is not None
        self._up_since = time.monotonic()
        return pid

    async def crash(self) -> None:
        """End the server in its immediate mode, which leaves all to recovery; return when the next one serves."""
        self._crashed = await self.ready()
        self._up_since = float("inf")
        os.kill(self._crashed, signal.SIGQUIT)
        self.crashes += 1
        await self.ready()

    def was_away(self, since: float) -> bool:
        """Whether it was away at some moment after `since` (time.monotonic())."""
        return self._up_since > since

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the harness's own."""
        connection = await asyncpg.connect(self.url, timeout=10)
        try:
            yield connection
        finally:
            await connection.close()

    async def until_nothing_is_held(self, deadline: float) -> None:
        """Wait until no charge is open, or the deadline (time.monotonic()) has come."""
        while time.monotonic() < deadline:
            try:
                async with self.connected() as connection:
                    if not await connection.fetchval("SELECT EXISTS (SELECT FROM charges WHERE state = 'held')"):
                        return
            except OUTAGE:
                continue
            await asyncio.sleep(0.1)

    async def charges(self) -> list[Charge]:
        """All rows of the ledger."""
        async with self.connected() as connection:
            rows = await connection.fetch("SELECT id, route, state, held, captured FROM charges ORDER BY id")
        return [Charge(str(row["id"]), row["route"], row["state"], row["held"], row["captured"]) for row in rows]

    async def invariants(self) -> dict[str, int]:
        """The violations of each invariant, as `nijika ledger verify` counts them."""
        async with self.connected() as connection:
            return await verify(connection)

    def _serving(self) -> int | None:
        try:
            lines = self._pid_file.read_text().splitlines()
        except FileNotFoundError:
            return None
        # The eighth line is where pg_ctl looks, too.
        return int(lines[0]) if [line.strip() for line in lines[7:8]] == ["ready"] else None


@contextmanager
def running(directory: Path, *, durable: bool) -> Iterator[Database]:
    """A new database for as long as the block runs."""
    port = ports.free()
    words = ("tests.crash.postgres", str(directory), str(port), "on" if durable else "off")
    with process.running(directory.with_name("postgres.log"), *words):
        yield Database(directory, port)
