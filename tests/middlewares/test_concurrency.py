"""Not too much at once: how many calls of one caller are under way, and that each gives its place back once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from nijika.middlewares.rate_limit import RateLimit
from tests.gateway import Gateway, configuration, loaded, serving, upstream_table
from tests.peers import answers, faults, streams
from tests.peers.patience import within
from tests.peers.upstream import Upstream
from tests.redis import RedisServer

API_KEY = '[[middlewares]]\nuse = "api_key"\n'
PRICING = '[[middlewares]]\nuse = "pricing"\n'

Start = Callable[[str], AbstractAsyncContextManager[Gateway]]


@pytest.fixture(params=["memory", "redis"])
def start(request: pytest.FixtureRequest, tmp_path: Path, database: str, upstream: Upstream) -> Start:
    """Starts a gateway by the rules of the link behind `api_key`; each test is for memory and for Redis."""
    store = "memory"
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        store = server.url

    @asynccontextmanager
    async def by(rules: str) -> AsyncIterator[Gateway]:
        link = f'[[middlewares]]\nuse = "rate_limit"\nstore = "{store}"\nrules = [{rules}]\n'
        text = configuration(upstream_table(upstream.url), chain=API_KEY + link + PRICING)
        config = loaded(tmp_path, text)
        async with serving(config, database) as gateway:
            yield gateway
            (limit,) = [link for link in config.middlewares if isinstance(link, RateLimit)]
            for _, flights in limit._flights.values():
                async with within("all calls to have ended"):
                    while len(flights):
                        await asyncio.sleep(0.01)

    return by


async def get(gateway: Gateway, path: str = "/free/x") -> tuple[int, str | None]:
    async with gateway.session.get(path) as answer:
        await answer.read()
        return answer.status, answer.headers.get("Retry-After")


async def test_more_than_may_be_under_way_are_refused_and_the_next_may_come_after_one_has_ended(
    start: Start, upstream: Upstream
) -> None:
    gate = asyncio.Event()
    upstream.plan("*", streams.gated(gate, answers.answer(200)))
    async with start('{ prefix = "/free/", concurrency = 2 }') as gateway:
        under_way = [asyncio.create_task(get(gateway)) for _ in range(2)]
        await upstream.request(2)
        refused = [await get(gateway) for _ in range(3)]
        elsewhere = await get(gateway, "/health")
        gate.set()
        done = await asyncio.gather(*under_way)
        after = await asyncio.gather(get(gateway), get(gateway))

    assert refused == [(429, "1")] * 3
    assert elsewhere == (200, None)
    assert [*done, *after] == [(200, None)] * 4


async def test_a_rule_may_have_both_and_says_only_its_rate(start: Start, upstream: Upstream) -> None:
    gate = asyncio.Event()
    upstream.plan("*", streams.gated(gate, answers.answer(200)))
    async with start('{ prefix = "/free/", limit = "1/h", burst = 3, concurrency = 1 }') as gateway:
        under_way = asyncio.create_task(get(gateway))
        await upstream.request()
        async with gateway.session.get("/free/x") as full:
            left = full.headers["X-RateLimit-Remaining"]
        gate.set()
        await under_way
        later = [await get(gateway) for _ in range(2)]

    assert (full.status, full.headers["Retry-After"], left) == (429, "1", "1")
    assert [status for status, _ in later] == [200, 429]
    assert int(later[1][1] or 0) > 1000


async def test_the_longest_prefix_with_a_rate_and_the_longest_with_a_concurrency_count(
    start: Start, upstream: Upstream
) -> None:
    gate = asyncio.Event()
    upstream.plan("/open/slow/x", streams.gated(gate, answers.answer(200)))
    upstream.plan("*", answers.answer(200))
    async with start(
        '{ prefix = "/free/", limit = "1/h", burst = 4 }, { prefix = "/free/slow/", concurrency = 1 }'
    ) as gateway:
        under_way = asyncio.create_task(get(gateway, "/free/slow/x"))
        await upstream.request()
        full = await get(gateway, "/free/slow/x")
        others = [(await get(gateway))[0] for _ in range(3)]
        gate.set()
        ended, _ = await under_way

    assert full == (429, "1")
    assert (others, ended) == ([200, 200, 429], 200)


@pytest.mark.parametrize("per", ["key", "account"])
async def test_each_key_or_account_has_its_own_places(start: Start, upstream: Upstream, per: str) -> None:
    gate = asyncio.Event()
    upstream.plan("*", streams.gated(gate, answers.answer(200)))
    async with start(f'{{ prefix = "/api/removebg", concurrency = 1, per = "{per}" }}') as gateway:
        one, second, other = [await gateway.customer() for _ in range(3)]
        await gateway.pool.execute("UPDATE keys SET account = $1 WHERE account = $2", one.account, second.account)

        async def call(fields: dict[str, str]) -> int:
            async with gateway.session.post("/api/removebg", data=b"p", headers=fields) as answer:
                return answer.status

        under_way = asyncio.create_task(call(one.fields))
        await upstream.request()
        same = await call(one.fields)
        calls = [asyncio.create_task(call(fields)) for fields in (second.fields, other.fields)]
        await upstream.request(3 if per == "key" else 2)
        gate.set()
        ended = [await under_way, *[await task for task in calls]]

    assert same == 429
    assert ended == [200, 200 if per == "key" else 429, 200]


ENDINGS = {
    "success": answers.answer(200, b"fine"),
    "a body in chunks": answers.answer(200, b"fine", chunked=True),
    "a refusal of the worker": answers.answer(404),
    "an error of the worker": answers.failed(500),
    "a worker that hangs up": faults.closed,
    "a broken body": faults.short(),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_every_ending_gives_the_place_back_once(start: Start, upstream: Upstream, ending: str) -> None:
    gate = asyncio.Event()
    upstream.plan("/open/held", streams.gated(gate, answers.answer(200)))
    upstream.plan("*", ENDINGS[ending])
    async with start('{ prefix = "/free/", concurrency = 2 }') as gateway:
        held = asyncio.create_task(get(gateway, "/free/held"))
        await upstream.request()
        for _ in range(5):
            try:
                status, _ = await get(gateway)
            except aiohttp.ClientError:
                status = 0  # an answer that was cut off
            assert status != 429
        # Had one of them given back two, there would be more room than for one beside the one that is held.
        upstream.plan("*", streams.gated(gate, answers.answer(200)))
        seen = len(upstream.seen)
        second = asyncio.create_task(get(gateway))
        await upstream.request(seen + 1)
        third = await get(gateway)
        gate.set()
        await asyncio.gather(held, second)

    assert third == (429, "1")


async def test_refusals_of_the_links_behind_give_the_place_back(start: Start) -> None:
    async with start('{ prefix = "/", concurrency = 1 }') as gateway:
        poor = await gateway.customer("0")
        statuses = []
        for _ in range(3):
            async with gateway.session.post("/api/removebg", data=b"p", headers=poor.fields) as answer:
                statuses.append(answer.status)
        statuses += [(await get(gateway, "/nowhere"))[0] for _ in range(3)]

    assert statuses == [402] * 3 + [404] * 3


async def test_a_caller_who_hangs_up_has_its_place_back(start: Start, upstream: Upstream) -> None:
    upstream.plan("/open/quick", answers.answer(200))
    upstream.plan("*", streams.gated(asyncio.Event(), answers.answer(200)))
    async with start('{ prefix = "/free/", concurrency = 1 }') as gateway:
        for _ in range(3):
            seen = len(upstream.seen)
            call = asyncio.create_task(get(gateway))
            await upstream.request(seen + 1)
            full = await get(gateway)
            call.cancel()
            await asyncio.wait([call])
            await free_again(gateway)

            assert full == (429, "1")


async def test_a_paid_call_keeps_its_place_until_the_work_is_done(start: Start, upstream: Upstream) -> None:
    gate = asyncio.Event()
    upstream.plan("*", streams.gated(gate, answers.answer(200)))
    async with start('{ prefix = "/api/removebg", concurrency = 1, per = "key" }') as gateway:
        customer = await gateway.customer()

        async def call() -> int:
            async with gateway.session.post("/api/removebg", data=b"p", headers=customer.fields) as answer:
                return answer.status

        left = asyncio.create_task(call())
        await upstream.request()
        await upstream.until(lambda: upstream.seen[0].upload.count == 1, "the whole upload")
        left.cancel()
        await asyncio.wait([left])
        while_it_works = [await call() for _ in range(3)]
        gate.set()
        await customer.settled()
        async with within("the place to be free"):
            while (status := await call()) == 429:
                await asyncio.sleep(0.01)

    assert while_it_works == [429] * 3
    assert status == 200


async def free_again(gateway: Gateway) -> None:
    """Waits until nothing is under way."""
    async with within("the place to be free"):
        while (await get(gateway, "/free/quick"))[0] == 429:
            await asyncio.sleep(0.01)
