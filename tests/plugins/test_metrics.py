"""`/metrics`: who may read it, and that its figures are those of what really happened."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tests.conftest import Start
from tests.gateway import CHAIN, ROUTES, Customer, Gateway, configuration, upstream_table
from tests.peers import answers, faults, raw
from tests.peers.exchange import Behaviour, Exchange
from tests.peers.upstream import Upstream
from tests.redis import RedisServer
from tests.scrape import Scrape, scrape

METRICS = """
[[routes]]
use = "metrics"
"""
METERED = """
[[routes]]
use = "proxy"
path = "/api/metered"
upstream = "worker"
price = { hold = "1", capture = "X-Cost" }
"""
LATE = """
[upstreams.late]
urls = ["{url}"]
first_byte_seconds = 0.2
"""
TOO_LATE = """
[[routes]]
use = "proxy"
path = "/api/late"
upstream = "late"
price = "1"
"""
PATH = "/api/removebg"


@pytest.fixture
async def gateway(start: Start, upstream: Upstream) -> AsyncIterator[Gateway]:
    tables = upstream_table(upstream.url) + LATE.format(url=upstream.url)
    async with start(configuration(tables, routes=ROUTES + METERED + TOO_LATE + METRICS)) as gateway:
        yield gateway


async def call(customer: Customer, path: str = PATH, key: str | None = None) -> int:
    fields = {"X-API-Key": key or customer.key}
    async with customer.gateway.session.post(path, data=b"picture", headers=fields) as answer:
        await answer.read()
        return answer.status


def requests(before: Scrape, after: Scrape) -> dict[tuple[str, str, str], float]:
    """How many requests there were between two scrapes by route, status and code, without those for the numbers."""
    counts = after.since(before, "nijika_requests_total", "route", "status", "code")
    return {labels: count for labels, count in counts.items() if labels[0] != "/metrics"}


async def until(gateway: Gateway, holds: Callable[[Scrape], bool]) -> Scrape:
    """The first scrape that is so; what is counted after the last byte of an answer may come after its caller."""
    async with asyncio.timeout(15):
        while not holds(now := await scrape(gateway.session)):
            await asyncio.sleep(0.01)
    return now


async def test_the_figures_are_exactly_what_happened_to_the_calls_and_their_money(
    gateway: Gateway, upstream: Upstream
) -> None:
    customer, poor = await gateway.customer("100"), await gateway.customer("0.5")
    upstream.plan(
        "/v1/cutout",
        answers.answer(200, b"cut out"),
        answers.answer(200, b"cut out"),
        answers.answer(404, b"no"),
        answers.failed(500),
        answers.failed(500),
    )
    upstream.plan("/api/late", faults.unanswered)
    upstream.plan("/api/metered", answers.answer(200, b"done", [("X-Cost", "0.25")]))
    before = await scrape(gateway.session)

    statuses = [await call(customer) for _ in range(5)]
    statuses += [await call(customer, "/api/late"), await call(customer, "/api/metered")]
    statuses += [await call(poor), await call(poor, key="wrong")]

    assert statuses == [200, 200, 404, 502, 502, 504, 200, 402, 401]
    after = await until(gateway, lambda now: now.value("nijika_requests_total", code="invalid-key") > 0)
    assert requests(before, after) == {
        (PATH, "200", "-"): 2,
        (PATH, "404", "-"): 1,
        (PATH, "502", "upstream-failed"): 2,
        ("/api/late", "504", "upstream-timeout"): 1,
        ("/api/metered", "200", "-"): 1,
        (PATH, "402", "insufficient-credits"): 1,
        (PATH, "401", "invalid-key"): 1,
    }
    assert after.since(before, "nijika_holds_total", "route") == {PATH: 5, "/api/late": 1, "/api/metered": 1}
    assert after.since(before, "nijika_held_credits_total", "route") == {PATH: 5, "/api/late": 1, "/api/metered": 1}
    assert after.since(before, "nijika_captures_total", "route") == {PATH: 2, "/api/metered": 1}
    assert after.since(before, "nijika_captured_credits_total", "route") == {PATH: 2, "/api/metered": 0.25}
    assert after.since(before, "nijika_unused_credits_total", "route") == {"/api/metered": 0.75}
    refunds = {(PATH, "status-404"): 1, (PATH, "upstream-failed"): 2, ("/api/late", "upstream-timeout"): 1}
    assert after.since(before, "nijika_refunds_total", "route", "reason") == refunds
    assert after.since(before, "nijika_refunded_credits_total", "route", "reason") == refunds
    assert after.since(before, "nijika_wrong_keys_total") == {(): 1}
    assert after.value("nijika_charges_open") == 0
    assert sum(after.since(before, "nijika_ledger_batch_orders_sum").values()) == 6 + 1 + 7 + 1
    assert after.since(before, "nijika_upstream_calls_total", "upstream", "code") == {
        ("worker", "-"): 4,
        ("worker", "upstream-failed"): 2,
        ("late", "upstream-timeout"): 1,
    }


async def test_bytes_are_counted_on_both_sides(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plan("/open/x", answers.answer(200, b"r" * 700_000))
    before = await scrape(gateway.session)
    async with raw.connect(gateway.url) as client:
        await client.send(b"POST /free/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 300000\r\n\r\n")
        await client.send(b"s" * 300_000)

        sent = len(await client.rest())

    after = await until(gateway, lambda now: now.value("nijika_sent_bytes_total", route="/free/*") > 0)
    assert after.since(before, "nijika_received_bytes_total", "route")["/free/*"] == 300_000
    assert after.since(before, "nijika_sent_bytes_total", "route")["/free/*"] == sent > 700_000
    assert after.since(before, "nijika_upstream_sent_bytes_total", "upstream") == {"worker": 300_000}
    assert after.since(before, "nijika_upstream_received_bytes_total", "upstream") == {"worker": 700_000}


async def test_the_time_of_worker_and_caller_is_not_the_gateways(gateway: Gateway, upstream: Upstream) -> None:
    async def slow(exchange: Exchange) -> None:
        await exchange.read_all()
        await asyncio.sleep(0.3)
        await answers.answer(200, b"late")(exchange)

    upstream.plan("/open/x", slow)
    before = await scrape(gateway.session)
    async with raw.connect(gateway.url) as client:
        await client.send(b"POST /free/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\ns")
        await upstream.until(lambda: bool(upstream.seen) and upstream.seen[0].upload.count == 1)
        await asyncio.sleep(0.3)
        await client.send(b"s")
        await client.rest()

    after = await until(gateway, lambda now: now.value("nijika_request_seconds_count", route="/free/*") > 0)
    whole, own = (after.since(before, f"nijika_{of}_seconds_sum", "route")["/free/*"] for of in ("request", "gateway"))
    worker = after.since(before, "nijika_upstream_seconds_sum", "upstream")["worker"]
    assert worker >= 0.3
    assert whole - own - worker >= 0.1  # of the 0.3 s that it had to wait for the rest of the body


async def test_what_leads_nowhere_or_is_asked_for_in_no_known_way_has_one_label(gateway: Gateway) -> None:
    before = await scrape(gateway.session)

    for method in ("PROPFIND", "SEARCH", "LOCK", "REPORT", "MKCOL"):
        async with gateway.session.request(method, f"/nowhere/{method}") as answer:
            assert answer.status == 404
    async with raw.connect(gateway.url) as client:
        await client.ask(b"GARBAGE\r\n\r\n")

    after = await until(gateway, lambda now: now.value("nijika_requests_total", method="-", status="404") >= 5)
    assert requests(before, after) == {("-", "404", "not-found"): 5, ("-", "400", "bad-request"): 1}
    assert set(after.since(before, "nijika_requests_total", "method", "code")) == {
        ("-", "not-found"),
        ("-", "bad-request"),
        ("GET", "-"),
    }


async def test_a_caller_who_hangs_up_is_counted_too(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plan("/open/x", faults.unanswered)
    before = await scrape(gateway.session)

    async with raw.connect(gateway.url) as client:
        await client.send(b"GET /free/x HTTP/1.1\r\nHost: x\r\n\r\n")
        await upstream.request()

    def is_over(now: Scrape) -> bool:
        return now.value("nijika_requests_total", code="caller-gone") > before.value(
            "nijika_requests_total", code="caller-gone"
        )

    after = await until(gateway, is_over)
    assert requests(before, after) == {("/free/*", "499", "caller-gone"): 1}


def waiting(done: asyncio.Event) -> Behaviour:
    """Answers when the test says so."""

    async def behave(exchange: Exchange) -> None:
        await done.wait()
        await answers.answer(200)(exchange)

    return behave


async def test_connections_are_counted_while_they_are_open(gateway: Gateway) -> None:
    before = (await scrape(gateway.session)).value("nijika_connections_open")

    async with raw.connect(gateway.url), raw.connect(gateway.url):
        await until(gateway, lambda now: now.value("nijika_connections_open") == before + 2)

    await until(gateway, lambda now: now.value("nijika_connections_open") == before)


async def test_what_is_under_way_is_seen(gateway: Gateway, upstream: Upstream) -> None:
    customer, done = await gateway.customer(), asyncio.Event()
    upstream.plan("/v1/cutout", waiting(done))
    before = await scrape(gateway.session)

    under_way = asyncio.create_task(call(customer))
    await upstream.request()
    during = await scrape(gateway.session)
    done.set()
    assert await under_way == 200

    after = await until(gateway, lambda now: now.value("nijika_charges_open") == 0)
    seen = [(now.value("nijika_charges_open"), now.value("nijika_upstream_in_flight")) for now in (before, during)]
    assert seen == [(0, 0), (1, 1)]
    assert during.value("nijika_upstream_places", upstream="worker", state="ok") == 1
    assert after.value("nijika_upstream_in_flight") == 0


async def test_a_place_that_nobody_answers_at_is_seen_to_rest(start: Start) -> None:
    table = upstream_table("http://127.0.0.1:9")
    async with start(configuration(table, routes=ROUTES + METRICS)) as gateway:
        async with gateway.session.get("/free/x") as answer:
            assert answer.status == 502

        now = await scrape(gateway.session)

    assert now.value("nijika_upstream_places", upstream="worker", state="resting") == 1
    assert now.value("nijika_upstream_places", upstream="worker", state="ok") == 0
    assert now.value("nijika_upstream_failing_places", upstream="worker") == 1


LIMITS = """
[[middlewares]]
use = "rate_limit"
rules = [{ prefix = "/free/", limit = "2/h" }, { prefix = "/api/", concurrency = 1 }]
"""


async def test_what_limits_refuse_and_remember_is_counted_by_rule(start: Start, upstream: Upstream) -> None:
    done = asyncio.Event()
    upstream.plan("/v1/cutout", waiting(done))
    upstream.plan("/open/x", answers.answer(200))
    table = upstream_table(upstream.url)
    async with start(configuration(table, chain=LIMITS + CHAIN, routes=ROUTES + METRICS)) as gateway:
        customer = await gateway.customer()
        before = await scrape(gateway.session)

        for _ in range(5):
            async with gateway.session.get("/free/x"):
                pass
        first = asyncio.create_task(call(customer))
        await upstream.request(3)
        assert await call(customer) == 429
        after = await scrape(gateway.session)
        done.set()
        assert await first == 200

    refused = after.since(before, "nijika_limit_refusals_total", "rule", "kind")
    assert refused == {("/free/", "rate"): 3, ("/api/", "concurrency"): 1}
    assert after.value("nijika_limit_entries", rule="/free/", kind="rate") == 1
    assert after.value("nijika_limit_entries", rule="/api/", kind="concurrency") == 1


SHARED = """
[[middlewares]]
use = "rate_limit"
store = "{}"
rules = [{{ prefix = "/", limit = "99/s" }}]
"""


async def test_an_outage_of_redis_is_seen(start: Start, upstream: Upstream, redis_server: RedisServer) -> None:
    chain = SHARED.format(redis_server.url) + CHAIN
    async with start(configuration(upstream_table(upstream.url), chain=chain, routes=ROUTES + METRICS)) as gateway:
        there = (await scrape(gateway.session)).value("nijika_limit_redis_away")
        redis_server.stop()

        await until(gateway, lambda now: now.value("nijika_limit_redis_away") == 1)

    assert there == 0


async def test_the_pool_and_the_loop_are_looked_at(gateway: Gateway) -> None:
    before = await scrape(gateway.session)
    customer = await gateway.customer()

    async with gateway.session.get("/api/account", headers=customer.fields) as answer:
        assert answer.status == 200
    after = await until(gateway, lambda now: now.value("nijika_loop_lag_seconds_count") > 0)

    assert sum(after.since(before, "nijika_database_wait_seconds_count").values()) >= 2
    assert after.value("nijika_database_connections_max") == 11
    assert after.value("nijika_database_connections") >= after.value("nijika_database_connections_used") >= 0
    assert after.value("nijika_build_info") == 1
    assert after.value("nijika_config_reload_success") == 1


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/html, */*;q=0.1", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "application/openmetrics-text; version=1.0.0"),
    ],
)
async def test_the_answer_has_the_form_that_the_scraper_reads(gateway: Gateway, accept: str, content_type: str) -> None:
    async with gateway.session.get("/metrics", headers={"Accept": accept}) as answer:
        text = await answer.text()

        assert answer.headers["Content-Type"].startswith(content_type)
    assert text.endswith("# EOF\n") == ("openmetrics" in content_type)


BEHIND = '[[middlewares]]\nuse = "real_ip"\ntrusted_proxies = {trusted}\n'


@pytest.mark.parametrize(
    ("trusted", "field", "status"),
    [
        ([], None, 200),
        ([], ("X-Forwarded-For", "127.0.0.1"), 404),  # it came through somebody whom nobody knows
        ([], ("forwarded", "for=127.0.0.1"), 404),
        (["127.0.0.0/8"], ("x-forwarded-for", "203.0.113.7"), 404),
        (["127.0.0.0/8"], ("X-Forwarded-For", "10.9.8.7"), 200),
        (["127.0.0.0/8"], None, 200),
    ],
)
async def test_only_the_networks_that_are_allowed_see_that_it_is_there(
    start: Start, upstream: Upstream, trusted: list[str], field: tuple[str, str] | None, status: int
) -> None:
    chain = BEHIND.format(trusted=trusted) + CHAIN
    routes = ROUTES + METRICS + 'allow = ["127.0.0.1/32", "10.0.0.0/8"]\n'
    async with start(configuration(upstream_table(upstream.url), chain=chain, routes=routes)) as gateway:
        async with gateway.session.get("/metrics", headers=[field] if field else []) as answer:
            told = await answer.text()

            assert answer.status == status
        async with gateway.session.get("/nothing") as nothing:
            stranger = await nothing.json()
    if status == 404:
        assert stranger["detail"] in told
        assert "nijika_" not in told
