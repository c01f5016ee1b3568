"""A gateway with the staff's pages, people in each role, and a look at all that a form could change."""

import asyncio
import html
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from nijika import request_id
from nijika.credits import parse
from nijika.database import Connection
from nijika.ledger.grant import grant
from nijika.store import users
from tests.browsing import SESSION_CHAIN, Browser, Page, browser, person
from tests.conftest import Start
from tests.gateway import ROUTES, Customer, Gateway, configuration, upstream_table
from tests.peers import answers
from tests.peers.upstream import Upstream

STAFF = '[[routes]]\nuse = "login"\n[[routes]]\nuse = "staff"\n'


@dataclass
class Office:
    """The gateway and its people."""

    gateway: Gateway
    stack: AsyncExitStack
    names: int = 0

    async def person(
        self,
        role: str = "user",
        *,
        name: str = "",
        credit: str = "0",
        suspended: bool = False,
        email: str | None = None,
    ) -> int:
        """A user."""
        self.names += 1
        user = await person(self.gateway, name=name or f"{role} {self.names}", role=role, email=email)
        account = await self.gateway.pool.fetchval("SELECT account FROM users WHERE id = $1", user)
        async with self.gateway.pool.acquire() as connection:
            if credit != "0":
                await grant(connection, request_id.make(), account, parse(credit), "test")
            if suspended:
                await users.suspend(connection, account, suspended=True)
        return user

    async def browser(self, user: int | None) -> Browser:
        """A browser in which `user` is signed in."""
        return await self.stack.enter_async_context(browser(self.gateway, user))

    async def somebody(self, role: str) -> Browser:
        """A new user with a role, in a browser."""
        return await self.browser(await self.person(role))

    async def state(self) -> dict[str, Any]:
        """Everything that staff can change, as the database has it."""
        people = await self.gateway.pool.fetch(
            """SELECT u.id, u.role, a.available, a.granted, a.suspended_at
                 FROM users u JOIN accounts a ON a.id = u.account ORDER BY u.id"""
        )
        sums = await self.gateway.pool.fetchrow(
            """SELECT (SELECT count(*) FROM journal) AS journal, (SELECT count(*) FROM audit) AS audit,
                      (SELECT count(*) FROM sessions) AS sessions, (SELECT count(*) FROM keys) AS keys"""
        )
        return {"people": [tuple(row) for row in people], **dict(sums)}

    async def calls(self, customer: Customer, number: int) -> list[int]:
        """So many paid calls; returns their statuses."""
        statuses = []
        for _ in range(number):
            async with self.gateway.session.post("/api/removebg", data=b"x", headers=customer.fields) as answer:
                statuses.append(answer.status)
        await customer.settled()
        return statuses

    @asynccontextmanager
    async def locks(self, *ids: int) -> AsyncIterator[Connection]:
        """Somebody else has these users, and all admins, under locks; the block is a transaction."""
        async with self.gateway.pool.acquire() as connection, connection.transaction():
            await users.locked(connection, *ids)
            yield connection

    async def waiting(self, number: int) -> None:
        """Return when so many wait for a lock."""
        sql = """SELECT count(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND wait_event_type = 'Lock'"""
        async with asyncio.timeout(5):
            while await self.gateway.pool.fetchval(sql) < number:
                await asyncio.sleep(0.01)

    async def role(self, user: int) -> str:
        return str(await self.gateway.pool.fetchval("SELECT role FROM users WHERE id = $1", user))

    async def available(self, user: int) -> int:
        sql = "SELECT available FROM accounts a JOIN users u ON u.account = a.id WHERE u.id = $1"
        return int(await self.gateway.pool.fetchval(sql, user))

    async def audit(self) -> list[tuple[Any, ...]]:
        """Actor, subject, action, before, after, reason of each action, the oldest first."""
        rows = await self.gateway.pool.fetch(
            "SELECT actor, subject, action, before, after, reason FROM audit ORDER BY id"
        )
        return [tuple(row) for row in rows]


@pytest.fixture
async def office(start: Start, upstream: Upstream) -> AsyncIterator[Office]:
    upstream.plan("/v1/cutout", answers.answer(200, b"cut-out"))
    text = configuration(upstream_table(upstream.url), chain=SESSION_CHAIN, routes=ROUTES + STAFF)
    async with start(text) as gateway, AsyncExitStack() as stack:
        yield Office(gateway, stack)


def once(page: Page) -> str:
    """The id that a page gave to its form of credits."""
    found = re.search(r'name="once" value="([0-9a-f-]{36})"', page.text)
    assert found is not None
    return found[1]


def words(page: Page) -> str:
    """What a person reads on a page."""
    main = page.text[page.text.index("<main") :]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main)).split())
