"""A gateway with webhooks that may lead to this machine, Ada with a browser, and her receiver."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nijika import oversight, request_id
from nijika.credits import parse
from nijika.state import VAULT
from nijika.store import webhooks
from nijika.webhooks import news
from nijika.webhooks.signature import Seal
from tests.browsing import SESSION_CHAIN, Browser, browser, user_of
from tests.gateway import ROUTES, Customer, Gateway, configuration, loaded, serving, upstream_table
from tests.peers import answers
from tests.peers.upstream import Upstream
from tests.webhooks.receiver import Receiver, receiving

PAGES = "".join(f'[[routes]]\nuse = "{name}"\n' for name in ("login", "dashboard", "staff"))
HOOKS = '[[routes]]\nuse = "webhooks"\nallow = ["127.0.0.0/8"]\n'
EVENTS = list(news.EVENTS)


@dataclass
class Holder:
    """Somebody with an account of 100 credits, a key and a browser."""

    customer: Customer
    browser: Browser
    user: int

    @property
    def gateway(self) -> Gateway:
        return self.customer.gateway

    async def hook(self, url: str, events: Sequence[str] = EVENTS) -> tuple[int, str]:
        """A webhook, stored as its form does; gives its id and its secret."""
        seal = Seal(self.gateway.app[VAULT])
        sealed = seal.make()
        async with self.gateway.pool.acquire() as connection, connection.transaction():
            webhook = await webhooks.add(
                connection, account=self.customer.account, url=url, events=list(events), sealed=sealed
            )
        secret = seal.open(sealed)
        assert secret is not None
        return webhook, secret

    async def pay(self, amount: str) -> None:
        """A payment, or a chargeback."""
        micro = -parse(amount[1:]) if amount.startswith("-") else parse(amount)
        async with self.gateway.pool.acquire() as connection:
            await oversight.adjust(
                connection, id=request_id.make(), actor=None, user=self.user, amount=micro, reason="Payment 17"
            )

    async def call(self) -> int:
        """A call for 1 credit."""
        async with self.gateway.session.post("/api/removebg", data=b"x", headers=self.customer.fields) as answer:
            await answer.read()
            return answer.status

    async def deliveries(self) -> list[dict[str, Any]]:
        """The oldest first."""
        return [dict(row) for row in await self.gateway.pool.fetch("SELECT * FROM webhook_deliveries ORDER BY id")]

    async def ended(self, number: int = 1) -> list[dict[str, Any]]:
        """The deliveries, once so many of them are over."""
        async with asyncio.timeout(15):
            while True:
                rows = await self.deliveries()
                if sum(row["state"] != "waiting" for row in rows) >= number:
                    return rows
                await asyncio.sleep(0.01)

    async def tried(self, attempts: int) -> dict[str, Any]:
        """The only delivery, once it was tried so often and the outcome is written down."""
        async with asyncio.timeout(15):
            while True:
                rows = await self.deliveries()
                if rows and rows[0]["attempts"] >= attempts and rows[0]["claim"] is None:
                    return rows[0]
                await asyncio.sleep(0.01)

    async def stored(self) -> dict[str, Any]:
        """The only webhook."""
        return dict(await self.gateway.pool.fetchrow("SELECT * FROM webhooks"))


@pytest.fixture
async def site(database: str, tmp_path: Path, upstream: Upstream) -> AsyncIterator[Gateway]:
    upstream.plan("*", answers.answer(200, b"cut-out"))
    text = configuration(upstream_table(upstream.url), chain=SESSION_CHAIN, routes=ROUTES + PAGES + HOOKS)
    async with serving(loaded(tmp_path, text), database, is_public=True) as gateway:
        yield gateway


@pytest.fixture
async def ada(site: Gateway) -> AsyncIterator[Holder]:
    customer = await site.customer()
    user = await user_of(customer)
    async with browser(site, user) as here:
        yield Holder(customer, here, user)


@pytest.fixture
async def bob(site: Gateway) -> AsyncIterator[Holder]:
    customer = await site.customer()
    user = await user_of(customer)
    async with browser(site, user) as here:
        yield Holder(customer, here, user)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver
