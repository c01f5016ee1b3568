"""An upstream, and two clients that speak to it directly."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.peers import raw
from tests.peers.upstream import Upstream


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream.start() as running:
        yield running


@pytest.fixture
async def client(upstream: Upstream) -> AsyncIterator[raw.Client]:
    async with raw.connect(upstream.url) as connected:
        yield connected


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as opened:
        yield opened
