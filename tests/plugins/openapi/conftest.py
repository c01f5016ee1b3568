"""A gateway that serves a call of each kind, and the reference of them."""

from collections.abc import AsyncIterator

import pytest

from tests.browsing import SESSION_CHAIN
from tests.conftest import Start
from tests.gateway import Customer, Gateway, configuration, upstream_table
from tests.peers.upstream import Upstream

LIMITED = """
[[middlewares]]
use = "rate_limit"
rules = [{ prefix = "/api/", limit = "1000/s" }]
"""
ROUTES = """
[[routes]]
use = "health"
[[routes]]
use = "account"
[[routes]]
use = "site"
[[routes]]
use = "login"
[[routes]]
use = "playground"
[[routes]]
use = "openapi"
title = "Pictures"
[[routes]]
use = "proxy"
path = "/api/removebg"
upstream = "worker"
target = "/v1/cutout"
price = "1"
summary = "Remove the background"
description = "Hair too."
body_bytes_max = 1000
[[routes]]
use = "proxy"
path = "/api/write"
upstream = "worker"
price = { hold = "2", capture = "X-Nijika-Cost" }
content_types = ["application/json", "text/*"]
[[routes]]
use = "proxy"
path = "/files/*"
methods = ["GET", "HEAD", "PUT"]
upstream = "worker"
price = "free"
[[routes]]
use = "tests.plugins.openapi.mixer:Mixer"
"""


@pytest.fixture
async def site(start: Start, upstream: Upstream) -> AsyncIterator[Gateway]:
    text = configuration(upstream_table(upstream.url), chain=LIMITED + SESSION_CHAIN, routes=ROUTES)
    async with start(text) as gateway:
        yield gateway


@pytest.fixture
async def customer(site: Gateway) -> Customer:
    """A customer with 100 credits."""
    return await site.customer()
