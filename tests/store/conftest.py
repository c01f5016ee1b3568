"""A keyring on a database of its own, by a clock that the test sets, and with its queries counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import pytest

from nijika.database import Pool, open_pool
from nijika.store import keys, users
from nijika.store.keyring import Keyring
from nijika.store.listener import Listener
from nijika.store.vault import Vault, make_key
from tests.line import Line, line_to


@dataclass
class Ring:
    """A keyring that works, behind a line. `queries` are those on its only connection."""

    pool: Pool
    line: Line
    other: asyncpg.Connection
    vault: Vault = field(default_factory=lambda: Vault(["the new secret", "the old secret"]))
    now: float = 1000.0
    queries: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keyring = Keyring(self.pool, clock=lambda: self.now)

    async def make(self, vault: Vault | None = None) -> str:
        """The text of a new key of a new account."""
        _, account = await users.add(self.other, name="customer", email=None, role="user")
        made = await keys.make(self.other, vault or self.vault, account=account, name="k")
        return made.text

    async def knows(self, text: str) -> bool:
        """Whether the key is living, as the keyring has it."""
        return await self.keyring.find(self.vault.digests(text)) is not None

    def ask(self, text: str) -> "asyncio.Task[bool]":
        """As `knows`, meanwhile."""
        return asyncio.create_task(self.knows(text))

    async def revoke(self, text: str) -> None:
        """End a key, which the keyring is not told."""
        await self.other.execute("UPDATE keys SET revoked_at = now() WHERE digest = ANY($1)", self.vault.digests(text))


@pytest.fixture
async def ring(database: str) -> AsyncIterator[Ring]:
    """A keyring on one connection, and nobody who tells it anything."""
    async with line_to(database) as line, await open_pool(line.url, connections_max=0) as pool:
        other = await asyncpg.connect(database)
        ring = Ring(pool, line, other)
        async with pool.acquire() as connection:
            connection.add_query_logger(lambda record: ring.queries.append(record.query))
        async with working(ring.keyring):
            await ring.knows(make_key())  # asyncpg asks about types, once a connection
            ring.queries.clear()
            yield ring
        await other.close()


@asynccontextmanager
async def working(what: Keyring | Listener) -> AsyncIterator[None]:
    """It does its work for as long as the block runs."""
    task = asyncio.create_task(what.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
