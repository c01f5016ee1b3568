"""A ledger of its own for each test, with accounts that have credit."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from nijika import request_id
from nijika.database import Pool, open_pool
from nijika.ledger import Hold, Ledger
from nijika.ledger.grant import grant
from nijika.ledger.lease import Lease
from nijika.ledger.verify import verify
from nijika.store import keys, users


@dataclass
class Bank:
    """A ledger, its lease and its database."""

    url: str
    pool: Pool
    lease: Lease
    ledger: Ledger

    async def account(self, amount: int) -> tuple[int, int]:
        """An account with so many micro-credits, and a key of it."""
        async with self.pool.acquire() as connection, connection.transaction():
            name = str(request_id.make())
            _, account = await users.add(connection, name=name, email=None, role="user")
            if amount:
                await grant(connection, request_id.make(), account, amount, "test")
            key = await keys.add(
                connection, account=account, name="k", digest=name.encode(), sealed=None, hint=name[-4:]
            )
        return account, key

    async def balances(self, account: int) -> tuple[int, int, int]:
        """Available, held and spent."""
        row = await self.pool.fetchrow("SELECT available, held, spent FROM accounts WHERE id = $1", account)
        assert row is not None
        return tuple(row)

    async def violations(self) -> dict[str, int]:
        async with self.pool.acquire() as connection:
            return {name: count for name, count in (await verify(connection)).items() if count}


def hold_of(account: int, amount: int = 10, *, key: int = 1, name: str | None = None, route: str = "/x") -> Hold:
    return Hold(request_id.make(), account, key, route, amount, 60, name)


@pytest.fixture
async def bank(database: str) -> AsyncIterator[Bank]:
    async with await open_pool(database, connections_max=5) as pool, Lease(pool, 2) as lease:
        ledger = Ledger(pool, lease.id)
        try:
            yield Bank(database, pool, lease, ledger)
        finally:
            await ledger.close()
