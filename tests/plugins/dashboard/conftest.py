"""A gateway with a dashboard and a worker, and Ada, who has 100 credits and a browser."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.browsing import SESSION_CHAIN, Browser, browser, user_of
from tests.gateway import ROUTES, Customer, Gateway, configuration, loaded, serving, upstream_table
from tests.peers import answers
from tests.peers.upstream import Upstream

PAGES = "".join(f'[[routes]]\nuse = "{name}"\n' for name in ("login", "dashboard"))


@dataclass
class Holder:
    """Somebody with an account, a key and a browser."""

    customer: Customer
    browser: Browser
    user: int


@pytest.fixture
async def site(database: str, tmp_path: Path, upstream: Upstream) -> AsyncIterator[Gateway]:
    upstream.plan("*", answers.answer(200, b"cut-out"))
    text = configuration(upstream_table(upstream.url), chain=SESSION_CHAIN, routes=ROUTES + PAGES)
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
