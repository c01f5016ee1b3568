"""A front of each kind, with the gateway behind it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.conftest import Start
from tests.fronts import certificate as made
from tests.fronts.certificate import Certificate
from tests.fronts.front import KINDS, Site, running
from tests.gateway import ROUTES, Gateway, configuration, upstream_table
from tests.peers.upstream import Upstream

# Fronts come to the gateway from 127.0.0.1, callers to fronts from other addresses.
CHAIN = """
[[middlewares]]
use = "real_ip"
trusted_proxies = ["127.0.0.1/32"]
[[middlewares]]
use = "rate_limit"
rules = [{ prefix = "/free/limited", limit = "1/h", burst = 2 }]
[[middlewares]]
use = "api_key"
[[middlewares]]
use = "pricing"
"""
MORE_ROUTES = """
[upstreams.slow]
urls = ["{url}"]
first_byte_seconds = 0.2
[[routes]]
use = "proxy"
path = "/slow"
upstream = "slow"
price = "1"
[[routes]]
use = "proxy"
path = "/api/cancel"
upstream = "worker"
price = "1"
on_disconnect = "cancel"
"""


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """For all fronts of the run."""
    return made.make(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
async def gateway(start: Start, upstream: Upstream) -> AsyncIterator[Gateway]:
    """The gateway of the root's fixture, with a front that it trusts."""
    routes = ROUTES + MORE_ROUTES.format(url=upstream.url)
    text = configuration(upstream_table(upstream.url), server="drain_seconds = 2", chain=CHAIN, routes=routes)
    async with start(text) as gateway:
        yield gateway


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of front in turn."""
    name: str = request.param
    return name


@pytest.fixture
def front(kind: str, tmp_path: Path, gateway: Gateway, certificate: Certificate) -> Iterator[Site]:
    """A front with TLS, both of whose gateways are the one that there is."""
    place = urlsplit(gateway.url).netloc
    with running(kind, tmp_path / kind, (place, place), certificate) as site:
        yield site
