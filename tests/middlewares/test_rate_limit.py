"""Not too fast: which rule counts, whom it counts, and what the caller is told each time."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest

from nijika.limits.caller import bucket
from nijika.middlewares.rate_limit import RateLimit
from tests.gateway import CHAIN, Gateway, configuration, loaded, serving, upstream_table
from tests.peers import answers, streams
from tests.peers.upstream import Upstream

SECOND = 1_000_000_000
ROUTES = """
[[routes]]
use = "health"
[[routes]]
use = "proxy"
path = "/*"
methods = ["GET", "POST"]
upstream = "worker"
price = "free"
"""
ROUTES_WITH_KEY = """
[[routes]]
use = "account"
"""
PRICED_ROUTE = """
[[routes]]
use = "proxy"
path = "/api/removebg"
upstream = "worker"
price = "1"
"""


class Clock:
    """Stands still until the test moves it; nanoseconds."""

    def __init__(self) -> None:
        self.now = 1_000 * SECOND

    def __call__(self) -> int:
        return self.now


class Limited:
    """Starts gateways whose limits go by a clock of the test's."""

    def __init__(self, directory: Path, database: str, upstream: Upstream) -> None:
        self.clock = Clock()
        self._directory, self._database, self._upstream = directory, database, upstream
        upstream.plan("*", answers.answer(200, b"fine"))

    @asynccontextmanager
    async def by(self, chain: str) -> AsyncIterator[Gateway]:
        routes = ROUTES
        routes += ROUTES_WITH_KEY if '"api_key"' in chain else ""
        routes += PRICED_ROUTE if '"pricing"' in chain else ""
        text = configuration(upstream_table(self._upstream.url), chain=chain, routes=routes)
        config = loaded(self._directory, text)
        for link in config.middlewares:
            if isinstance(link, RateLimit):
                for _, memory in link._tables.values():
                    memory._clock = self.clock
        async with serving(config, self._database) as gateway:
            yield gateway


@pytest.fixture
def limited(tmp_path: Path, database: str, upstream: Upstream) -> Limited:
    return Limited(tmp_path, database, upstream)


def link(*rules: str, more: str = "") -> str:
    tables = ", ".join(f"{{ {rule} }}" for rule in rules)
    return f'[[middlewares]]\nuse = "rate_limit"\nrules = [{tables}]\n{more}\n'


def fields(answer: aiohttp.ClientResponse) -> dict[str, str]:
    """What an answer tells of limits; AssertionError if it tells it twice."""
    names = [
        "RateLimit-Policy",
        "RateLimit",
        "X-RateLimit-Limit",
        "X-RateLimit-Remaining",
        "X-RateLimit-Reset",
        "Retry-After",
    ]
    assert all(len(answer.headers.getall(name, ())) <= 1 for name in names)
    return {name: answer.headers[name] for name in names if name in answer.headers}


def told(prefix: str, burst: int, window: int, remaining: int, reset: int) -> dict[str, str]:
    return {
        "RateLimit-Policy": f'"{prefix}";q={burst};w={window}',
        "RateLimit": f'"{prefix}";r={remaining};t={reset}',
        "X-RateLimit-Limit": str(burst),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(reset),
    }


async def status(gateway: Gateway, path: str, headers: dict[str, str] | None = None) -> int:
    async with gateway.session.get(path, headers=headers) as answer:
        await answer.read()
        return answer.status


PREFIXES = [
    ("/api/x", "/api/"),
    ("/api/x/y/z", "/api/"),
    ("/apix", "/"),
    ("/apix/y", "/"),
    ("/ap", "/"),
    ("/", "/"),
    ("/api/images", "/api/images"),
    ("/api/images/", "/api/images"),
    ("/api/images/7", "/api/images"),
    ("/api/imagesx", "/api/"),
    ("/api/images/big/7", "/api/images/big/"),
    ("/api/images/bigger", "/api/images"),
    ("/API/images", "/"),
]


@pytest.mark.parametrize(("path", "prefix"), PREFIXES)
async def test_the_longest_prefix_that_matches_by_whole_segments_counts(
    limited: Limited, path: str, prefix: str
) -> None:
    prefixes = ("/", "/api/", "/api/images", "/api/images/big/")
    rules = [f'prefix = "{rule}", limit = "{number}/h"' for number, rule in enumerate(prefixes, 10)]
    async with limited.by(link(*rules)) as gateway, gateway.session.get(path) as answer:
        policy = answer.headers["RateLimit-Policy"]

    assert policy.startswith(f'"{prefix}";')


@pytest.mark.parametrize(("path", "limited_"), [("/api", True), ("/api/x", True), ("/apix", False), ("/", False)])
async def test_a_prefix_with_a_slash_behind_it_means_the_same_segment(
    limited: Limited, path: str, *, limited_: bool
) -> None:
    for prefix in ("/api", "/api/"):
        async with (
            limited.by(link(f'prefix = "{prefix}", limit = "5/h"')) as gateway,
            gateway.session.get(path) as answer,
        ):
            assert ("RateLimit" in answer.headers) is limited_


async def test_other_spellings_of_a_path_are_counted_by_the_same_rule(limited: Limited) -> None:
    async with limited.by(link('prefix = "/api/", limit = "1/h"')) as gateway:
        plain = await status(gateway, "/api/x")
        async with gateway.session.get(f"{gateway.url}/%61pi/x", allow_redirects=False) as answer:
            escaped = answer.status

    assert (plain, escaped) == (200, 429)


async def test_each_answer_tells_exactly_where_the_caller_stands(limited: Limited) -> None:
    async with limited.by(link('prefix = "/", limit = "1/m", burst = 3')) as gateway:
        seen = []
        for wait in (0, 15, 0, 0, 44, 1):
            limited.clock.now += wait * SECOND
            async with gateway.session.get("/x") as answer:
                seen.append((answer.status, fields(answer)))

    assert seen == [
        (200, told("/", 3, 180, 2, 60)),
        (200, told("/", 3, 180, 1, 105)),
        (200, told("/", 3, 180, 0, 165)),
        (429, told("/", 3, 180, 0, 165) | {"Retry-After": "45"}),
        (429, told("/", 3, 180, 0, 121) | {"Retry-After": "1"}),
        (200, told("/", 3, 180, 0, 180)),
    ]


async def test_too_fast_is_a_problem_that_says_how_long(limited: Limited, upstream: Upstream) -> None:
    async with limited.by(link('prefix = "/", limit = "1/s"')) as gateway:
        await status(gateway, "/x")
        async with gateway.session.get("/x") as answer:
            problem = await answer.json(content_type="application/problem+json")

    assert (answer.status, problem["code"]) == (429, "too-many-requests")
    assert problem["detail"] == "Please try again in 1 second."
    assert answer.headers["Retry-After"] == "1"
    assert len(upstream.seen) == 1


@pytest.mark.parametrize("path", ["/health", "/api/account", "/api/removebg", "/stream", "/refused", "/broken"])
async def test_every_kind_of_answer_tells_it(limited: Limited, upstream: Upstream, path: str) -> None:
    statuses = {
        "/health": 200,
        "/api/account": 401,
        "/api/removebg": 405,
        "/stream": 200,
        "/refused": 404,
        "/broken": 502,
    }
    upstream.plan("/stream", streams.generated(300_000, chunked=True))
    upstream.plan("/refused", answers.answer(404))
    upstream.plan("/broken", answers.failed(500))
    async with (
        limited.by(link('prefix = "/", limit = "1/h", burst = 2') + CHAIN) as gateway,
        gateway.session.get(path) as answer,
    ):
        await answer.read()

    assert answer.status == statuses[path]
    assert fields(answer) == told("/", 2, 7200, 1, 3600)


async def test_a_path_that_leads_nowhere_is_counted_too(tmp_path: Path, database: str) -> None:
    chain = link('prefix = "/", limit = "1/h", burst = 2')
    text = configuration("", chain=chain, routes='[[routes]]\nuse = "health"')
    async with serving(loaded(tmp_path, text), database) as gateway:
        async with gateway.session.get("/nowhere") as nowhere:
            pass
        async with gateway.session.post("/health") as not_allowed:
            pass
        third = await status(gateway, "/nowhere")

    assert (nowhere.status, not_allowed.status, third) == (404, 405, 429)
    assert nowhere.headers["X-RateLimit-Remaining"] == "1"
    assert not_allowed.headers["X-RateLimit-Remaining"] == "0"


async def test_what_no_prefix_matches_is_not_limited(limited: Limited) -> None:
    async with limited.by(link('prefix = "/api/", limit = "1/h"')) as gateway:
        statuses = [await status(gateway, "/other") for _ in range(5)]
        async with gateway.session.get("/other") as answer:
            seen = fields(answer)

    assert (statuses, seen) == ([200] * 5, {})


async def test_the_worker_cannot_speak_of_limits(limited: Limited, upstream: Upstream) -> None:
    forged = [
        ("RateLimit", '"x";r=9'),
        ("RateLimit-Policy", "x"),
        ("X-RateLimit-Limit", "9"),
        ("X-RateLimit-Reset", "9"),
    ]
    upstream.plan("*", answers.answer(200, b"x", forged))
    async with limited.by(link('prefix = "/api/", limit = "1/h"')) as gateway:
        async with gateway.session.get("/api/x") as counted:
            pass
        async with gateway.session.get("/other") as uncounted:
            pass

    assert fields(counted) == told("/api/", 1, 3600, 0, 3600)
    assert fields(uncounted) == {}


async def test_300_forged_addresses_of_an_untrusted_peer_are_one_bucket(limited: Limited) -> None:
    chain = '[[middlewares]]\nuse = "real_ip"\n' + link('prefix = "/", limit = "1/h", burst = 10')
    async with limited.by(chain) as gateway:
        forged = [{"X-Forwarded-For": f"203.0.{number // 250}.{number % 250}"} for number in range(300)]
        statuses = Counter([await status(gateway, "/x", headers) for headers in forged])

    assert statuses == {200: 10, 429: 290}


async def test_behind_a_trusted_proxy_each_caller_has_a_bucket(limited: Limited) -> None:
    chain = '[[middlewares]]\nuse = "real_ip"\ntrusted_proxies = ["127.0.0.1"]\n' + link('prefix = "/", limit = "1/h"')
    callers = ["203.0.113.1", "203.0.113.2", "::ffff:203.0.113.1", "2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"]
    async with limited.by(chain) as gateway:
        statuses = [await status(gateway, "/x", {"X-Forwarded-For": caller}) for caller in callers]

    assert statuses == [200, 200, 429, 200, 429, 200]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.1", "203.0.113.1", True),
        ("203.0.113.1", "203.0.113.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::1", "0.0.0.1", False),
    ],
)
def test_a_household_is_one_bucket(one: str, other: str, *, same: bool) -> None:
    assert (bucket(ip_address(one)) == bucket(ip_address(other))) is same


async def test_rules_count_apart(limited: Limited) -> None:
    async with limited.by(link('prefix = "/a", limit = "1/h"', 'prefix = "/b", limit = "1/h"')) as gateway:
        statuses = [await status(gateway, path) for path in ("/a/1", "/b/1", "/a/2", "/b/2")]

    assert statuses == [200, 200, 429, 429]


async def test_by_key_each_key_has_a_bucket_whatever_its_address(limited: Limited) -> None:
    chain = (
        '[[middlewares]]\nuse = "real_ip"\ntrusted_proxies = ["127.0.0.1"]\n[[middlewares]]\nuse = "api_key"\n'
        + link('prefix = "/api/", limit = "1/h", burst = 2, per = "key"')
        + '[[middlewares]]\nuse = "pricing"\n'
    )
    async with limited.by(chain) as gateway:
        one, other = await gateway.customer(), await gateway.customer()
        calls = [(one, 1), (one, 2), (one, 3), (other, 1), (one, 1)]
        statuses = [
            await status(gateway, "/api/account", customer.fields | {"X-Forwarded-For": f"203.0.113.{address}"})
            for customer, address in calls
        ]
        without = await status(gateway, "/api/account")

    assert statuses == [200, 200, 429, 200, 429]
    assert without == 401


async def test_by_key_a_route_without_one_counts_by_address(limited: Limited) -> None:
    chain = CHAIN + link('prefix = "/", limit = "1/h", per = "key"')
    async with limited.by(chain) as gateway:
        statuses = [await status(gateway, "/open") for _ in range(2)]

    assert statuses == [200, 429]


async def test_the_link_may_stand_there_twice_and_both_count(limited: Limited) -> None:
    chain = (
        link('prefix = "/", limit = "1/h", burst = 3')
        + '[[middlewares]]\nuse = "api_key"\n'
        + link('prefix = "/api/", limit = "1/h", burst = 2, per = "key"')
    )
    async with limited.by(chain) as gateway:
        one, other = await gateway.customer(), await gateway.customer()
        answers_ = []
        for customer in (one, one, one, other):
            async with gateway.session.get("/api/account", headers=customer.fields) as answer:
                answers_.append((answer.status, answer.headers["RateLimit-Policy"]))

    by_key, by_address = '"/api/";q=2;w=7200', '"/";q=3;w=10800'
    assert answers_ == [(200, by_key), (200, by_key), (429, by_key), (429, by_address)]


async def test_a_refused_call_is_not_charged(limited: Limited) -> None:
    async with limited.by(link('prefix = "/api/removebg", limit = "1/h"') + CHAIN) as gateway:
        customer = await gateway.customer()
        statuses = []
        for _ in range(3):
            async with gateway.session.post("/api/removebg", data=b"p", headers=customer.fields) as answer:
                statuses.append(answer.status)

        assert statuses == [200, 429, 429]
        assert (await customer.settled())["spent"] == "1"
