"""A gateway for a test: the real application on a free loopback port, with a real database of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import aiohttp
from aiohttp import web

from nijika import request_id
from nijika.app import build
from nijika.config import Config, load
from nijika.connection import Patience
from nijika.credits import parse, show
from nijika.ledger.grant import grant
from nijika.ledger.verify import verify
from nijika.local.serving import address
from nijika.server import bind, listening
from nijika.state import POOL, VAULT
from nijika.store import keys, users

CHAIN = """
[[middlewares]]
use = "api_key"
[[middlewares]]
use = "pricing"
"""

ROUTES = """
[[routes]]
use = "health"
[[routes]]
use = "account"
[[routes]]
use = "proxy"
path = "/api/removebg"
upstream = "worker"
target = "/v1/cutout"
price = "1"
[[routes]]
use = "proxy"
path = "/free/*"
methods = ["GET", "HEAD", "POST", "PUT", "DELETE"]
upstream = "worker"
target = "/open/*"
price = "free"
body_bytes_max = 1000000000
"""


def upstream_table(*urls: str, settings: str = "") -> str:
    """The table of an upstream called worker."""
    return f"[upstreams.worker]\nurls = {list(urls)!r}\n{settings}\n"


def configuration(upstream: str, *, server: str = "", chain: str = CHAIN, routes: str = ROUTES) -> str:
    """A config.toml for one worker; `upstream` is its table."""
    secrets = 'secrets = ["a secret that is long enough for all tests"]'
    return f"[server]\nport = 0\n{secrets}\n{server}\n{upstream}\n{chain}\n{routes}"


@dataclass
class Customer:
    """An account with a key; amounts are decimal text."""

    gateway: "Gateway"
    account: int
    key: str

    @property
    def fields(self) -> dict[str, str]:
        return {"X-API-Key": self.key}

    async def balances(self) -> dict[str, str]:
        row = await self.gateway.pool.fetchrow(
            "SELECT available, held, spent, granted FROM accounts WHERE id = $1", self.account
        )
        assert row is not None
        return {name: show(amount) for name, amount in row.items()}

    async def balance(self) -> str:
        return (await self.balances())["available"]

    async def settled(self) -> dict[str, str]:
        """The balances, once nothing is held any more: the answer may arrive before the hold is closed."""
        async with asyncio.timeout(15):
            while (balances := await self.balances())["held"] != "0":
                await asyncio.sleep(0.01)
        return balances


@dataclass
class Gateway:
    """A running gateway."""

    url: str
    app: web.Application
    session: aiohttp.ClientSession

    @property
    def pool(self) -> Any:
        return self.app[POOL]

    async def customer(self, amount: str = "100", *, scopes: list[str] | None = None) -> Customer:
        vault = self.app[VAULT]
        async with self.pool.acquire() as connection, connection.transaction():
            _, account = await users.add(connection, name="customer", email=None, role="user")
            if amount != "0":
                await grant(connection, request_id.make(), account, parse(amount), "test")
            key = await keys.make(connection, vault, account=account, name="k", scopes=scopes)
        return Customer(self, account, key.text)

    async def soon(self, key: str, status: int) -> int:
        """The status of a call with a key, once it is `status`, or what it is in the end: changes of keys are heard of."""
        async with asyncio.timeout(60):
            for _ in range(500):
                async with self.session.get("/api/account", headers={"X-API-Key": key}) as answer:
                    if answer.status == status:
                        break
                await asyncio.sleep(0.01)
        return answer.status

    async def charge(self, request_id: str) -> dict[str, Any]:
        row = await self.pool.fetchrow("SELECT * FROM charges WHERE id = $1", UUID(request_id))
        return cast("dict[str, Any]", dict(row))

    async def charges(self) -> int:
        return cast("int", await self.pool.fetchval("SELECT count(*) FROM charges"))

    async def violations(self) -> dict[str, int]:
        async with self.pool.acquire() as connection:
            return {name: count for name, count in (await verify(connection)).items() if count}


def loaded(directory: Path, text: str) -> Config:
    """The configuration that a file with this text makes."""
    file = directory / "config.toml"
    file.write_text(text)
    return load(file)


@asynccontextmanager
async def serving(
    config: Config, database_url: str, *, is_public: bool = False, demo_user: int | None = None
) -> AsyncIterator[Gateway]:
    """The gateway of a configuration, for as long as the block runs; `is_public`: its public_url is where it is."""
    server = config.server
    patience = Patience(server.head_seconds, server.idle_seconds, server.write_seconds, server.drain_seconds)
    timeout = aiohttp.ClientTimeout(total=30)
    with bind("127.0.0.1", 0) as sock:
        if is_public:
            server = server.model_copy(update={"public_url": address(sock)})
            config = config.model_copy(update={"server": server})
        app = build(config, database_url=database_url, demo_user=demo_user)
        async with (
            listening(app, sock, patience),
            aiohttp.ClientSession(address(sock), auto_decompress=False, timeout=timeout) as session,
        ):
            yield Gateway(address(sock), app, session)
