"""Limits in Redis: one for all gateways, and what callers and operators see while Redis is away."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nijika.limits.shared import Shared
from nijika.state import SHARED
from tests.gateway import Gateway, configuration, loaded, serving, upstream_table
from tests.peers import answers, streams
from tests.peers.patience import within
from tests.peers.upstream import Upstream
from tests.redis import RedisServer

FIELDS = ["RateLimit-Policy", "RateLimit", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"]
CALLERS = 6

Begin = Callable[[RedisServer], None]


def link(*rules: str, store: str, more: str = "") -> str:
    tables = ", ".join(f"{{ {rule} }}" for rule in rules)
    return f'[[middlewares]]\nuse = "rate_limit"\nstore = "{store}"\nrules = [{tables}]\n{more}\n'


class House:
    """Starts gateways beside each other, on one database and one worker."""

    def __init__(self, directory: Path, database: str, upstream: Upstream) -> None:
        self._directory, self._database, self._upstream = directory, database, upstream
        upstream.plan("*", answers.answer(200, b"fine"))

    @asynccontextmanager
    async def gateway(self, *, before: str = "", behind: str = "") -> AsyncIterator[Gateway]:
        """With links before and behind `api_key`."""
        chain = f'{before}[[middlewares]]\nuse = "api_key"\n{behind}[[middlewares]]\nuse = "pricing"\n'
        text = configuration(upstream_table(self._upstream.url), chain=chain)
        async with serving(loaded(self._directory, text), self._database) as gateway:
            yield gateway


@pytest.fixture
def house(tmp_path: Path, database: str, upstream: Upstream) -> House:
    return House(tmp_path, database, upstream)


async def status(gateway: Gateway, path: str = "/free/x", fields: dict[str, str] | None = None) -> int:
    async with gateway.session.get(path, headers=fields) as answer:
        await answer.read()
        return answer.status


async def ready(gateway: Gateway) -> tuple[int, str, str]:
    """What /ready says: its status, and of the whole and the limits."""
    async with gateway.session.get("/ready") as answer:
        body: dict[str, Any] = await answer.json()
        return answer.status, body["status"], body["limits"]


async def until_limits_are(gateway: Gateway, state: str) -> None:
    async with within(f"limits to be {state}"):
        while (await ready(gateway))[2] != state:
            await asyncio.sleep(0.05)


async def test_two_gateways_share_one_limit(house: House, redis_server: RedisServer) -> None:
    chain = link('prefix = "/free/", limit = "1/h", burst = 6', store=redis_server.url)
    async with house.gateway(before=chain) as one, house.gateway(before=chain) as other:
        statuses = [await status(gateway) for _ in range(5) for gateway in (one, other)]
        async with other.session.get("/free/x") as answer:
            told = [answer.headers[name] for name in FIELDS]
            retry_after = int(answer.headers["Retry-After"])

    assert statuses == [200] * 6 + [429] * 4
    assert told[0] == '"/free/";q=6;w=21600'
    assert told[1].startswith('"/free/";r=0;t=')
    assert int(told[4]) in range(21_500, 21_601)
    assert told[2:4] == ["6", "0"]
    assert 3500 < retry_after <= 3600


async def test_two_gateways_at_once_let_no_more_pass_than_one_would(house: House, redis_server: RedisServer) -> None:
    chain = link('prefix = "/free/", limit = "1/h", burst = 20', store=redis_server.url)
    async with house.gateway(before=chain) as one, house.gateway(before=chain) as other:
        statuses = await asyncio.gather(*(status(gateway) for _ in range(40) for gateway in (one, other)))

    assert Counter(statuses) == {200: 20, 429: 60}


async def test_by_account_all_keys_of_an_account_count_together_in_all_gateways(
    house: House, redis_server: RedisServer
) -> None:
    chain = link('prefix = "/api/", limit = "1/h", burst = 3, per = "account"', store=redis_server.url)
    async with house.gateway(behind=chain) as one, house.gateway(behind=chain) as other:
        customer, somebody_else = await one.customer(), await one.customer()
        second = await one.customer()
        await one.pool.execute("UPDATE keys SET account = $1 WHERE account = $2", customer.account, second.account)
        calls = [(one, customer), (other, second), (one, second), (other, customer), (one, second)]
        statuses = [await status(gateway, "/api/account", caller.fields) for gateway, caller in calls]
        elsewhere = await status(other, "/api/account", somebody_else.fields)

    assert statuses == [200, 200, 200, 429, 429]
    assert elsewhere == 200


async def test_without_redis_nothing_is_shared_and_ready_says_so(house: House) -> None:
    async with house.gateway() as gateway:
        assert await ready(gateway) == (200, "ok", "memory")


async def test_links_on_one_redis_have_one_client(house: House, redis_server: RedisServer) -> None:
    chain = link('prefix = "/free/", limit = "1/h", burst = 3', store=redis_server.url)
    chain += link('prefix = "/free/", limit = "1/h", burst = 2', store=redis_server.url)
    async with house.gateway(before=chain) as gateway:
        statuses = [await status(gateway) for _ in range(4)]

        places: dict[str, Shared] = gateway.app[SHARED]
        assert list(places) == [redis_server.url]
        assert await ready(gateway) == (200, "ok", "shared")
    assert statuses == [200, 200, 429, 429]


class Load:
    """Callers that never rest, from one address; `statuses` holds all that they were answered."""

    def __init__(self, gateway: Gateway) -> None:
        self.statuses: list[int] = []
        self._gateway = gateway
        self._tasks = [asyncio.create_task(self._call()) for _ in range(CALLERS)]
        self._began = time.monotonic()

    async def more(self, count: int = 60) -> None:
        """Wait for so many further answers."""
        enough = len(self.statuses) + count
        async with within("the callers to be answered", 30):
            while len(self.statuses) < enough:
                await asyncio.sleep(0.01)

    async def end(self) -> float:
        """Seconds that it took."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        return time.monotonic() - self._began

    async def _call(self) -> None:
        while True:
            self.statuses.append(await status(self._gateway))


OUTAGES: list[tuple[Begin, Begin]] = [
    (RedisServer.stop, RedisServer.start),
    (RedisServer.freeze, RedisServer.thaw),
]


@pytest.mark.parametrize(("begin", "end"), OUTAGES, ids=["stopped", "frozen"])
async def test_an_outage_under_load_causes_no_error_and_each_process_keeps_the_limit(
    house: House, redis_server: RedisServer, begin: Begin, end: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    chain = link('prefix = "/free/", limit = "20/s", burst = 10', store=redis_server.url, more='on_outage = "local"')
    async with house.gateway(before=chain) as one, house.gateway(before=chain) as other:
        loads = [Load(one), Load(other)]
        for load in loads:
            await load.more()
        begin(redis_server)
        for gateway, load in zip((one, other), loads, strict=True):
            await until_limits_are(gateway, "local")
            await load.more()
        during = await ready(one)
        end(redis_server)
        for gateway, load in zip((one, other), loads, strict=True):
            await until_limits_are(gateway, "shared")
            await load.more()
        seconds = [await load.end() for load in loads]

    assert during == (200, "ok", "local")
    for load, took in zip(loads, seconds, strict=True):
        assert set(load.statuses) == {200, 429}
        # Redis does not know what passed in its absence: one burst is left to it when it comes back.
        assert load.statuses.count(200) <= 2 * 10 + took * 20
    said = [record.getMessage() for record in caplog.records if record.name == "nijika.limits"]
    assert sorted("is away" in text for text in said) == [False, False, True, True]


async def test_a_limit_that_is_used_up_stays_so_when_redis_goes_away(house: House, redis_server: RedisServer) -> None:
    chain = link('prefix = "/free/", limit = "1/h", burst = 4', store=redis_server.url)
    async with house.gateway(before=chain) as one:
        before = [await status(one) for _ in range(3)]
        redis_server.stop()
        after = [await status(one) for _ in range(3)]

    assert (before, after) == ([200] * 3, [200, 429, 429])


@pytest.mark.parametrize(("begin", "end"), OUTAGES, ids=["stopped", "frozen"])
async def test_while_redis_is_away_each_process_bounds_the_calls_under_way_in_it(
    house: House, redis_server: RedisServer, upstream: Upstream, begin: Begin, end: Begin
) -> None:
    gate = asyncio.Event()
    upstream.plan("*", streams.gated(gate, answers.answer(200, b"fine")))
    chain = link('prefix = "/free/", concurrency = 2', store=redis_server.url)
    async with house.gateway(before=chain) as one, house.gateway(before=chain) as other:
        begin(redis_server)
        under_way = [asyncio.create_task(status(gateway)) for gateway in (one, other) for _ in range(2)]
        await upstream.request(4)
        more = [await status(gateway) for gateway in (one, other)]
        end(redis_server)
        gate.set()
        done = await asyncio.gather(*under_way)

    assert more == [429, 429]
    assert done == [200] * 4


@pytest.mark.parametrize(("begin", "end"), OUTAGES, ids=["stopped", "frozen"])
async def test_who_refuses_in_an_outage_says_503_and_goes_on_afterwards(
    house: House, redis_server: RedisServer, upstream: Upstream, begin: Begin, end: Begin
) -> None:
    chain = link('prefix = "/", limit = "1000/s"', store=redis_server.url, more='on_outage = "refuse"')
    async with house.gateway(before=chain) as gateway:
        customer = await gateway.customer()
        before = await status(gateway)
        begin(redis_server)
        async with gateway.session.post("/api/removebg", data=b"p", headers=customer.fields) as answer:
            refused, body = answer.status, await answer.json(content_type=None)
            retry_after = answer.headers["Retry-After"]
        free, missing, alive = [await status(gateway, path) for path in ("/free/x", "/nowhere", "/health")]
        state = await ready(gateway)
        end(redis_server)
        await until_limits_are(gateway, "shared")
        after = await status(gateway)

        assert (await customer.settled())["spent"] == "0"
    assert (before, after) == (200, 200)
    assert (refused, body["code"], retry_after) == (503, "limiter-unavailable", "5")
    assert (free, missing, alive) == (503, 404, 200)
    assert state == (503, "unavailable", "refused")
    assert len(upstream.seen) == 2


async def test_a_gateway_starts_without_redis_and_finds_it_later(house: House, redis_server: RedisServer) -> None:
    redis_server.stop()
    chain = link('prefix = "/free/", limit = "1/h", burst = 1', store=redis_server.url)
    async with house.gateway(before=chain) as gateway:
        at_first = (await ready(gateway), await status(gateway))
        redis_server.start()
        await until_limits_are(gateway, "shared")
        later = [await status(gateway) for _ in range(2)]

    assert at_first == ((200, "ok", "local"), 200)
    assert later == [200, 429]
