"""Active checks bring an address back and keep calls from one that is not well; without them nobody is asked."""

import asyncio
from urllib.parse import urlsplit

from tests.conftest import Start
from tests.gateway import configuration
from tests.peers import answers, dead_ends, faults
from tests.peers.upstream import Upstream
from tests.proxy.behind import LONG, free, places, table, until

CHECK = f'check = {{ path = "/health", seconds = 0.1 }}\n{LONG}'
GOOD = answers.answer(200, b"fine")


async def test_a_resting_address_comes_back_by_a_good_check_without_a_call(start: Start) -> None:
    with dead_ends.closed_port() as url:
        port = urlsplit(url).port or 0
    async with start(configuration(table("worker", url, settings=CHECK))) as gateway:
        await until(lambda: places(gateway)[0].state == "resting", "the address to rest")
        async with Upstream.start(port) as back:
            back.plan("/health", GOOD)

            await until(lambda: places(gateway)[0].state == "ok", "the address to come back")

            assert {seen.path for seen in back.seen} == {"/health"}
            assert {seen.method for seen in back.seen} == {"GET"}


async def test_an_address_that_fails_its_checks_is_passed_over_until_it_is_well(
    start: Start, upstream: Upstream
) -> None:
    async with Upstream.start() as ill:
        for each in (upstream, ill):
            each.plan("*", GOOD)
        ill.plan("/health", answers.failed(500))
        async with start(configuration(table("worker", ill.url, upstream.url, settings=CHECK))) as gateway:
            await until(lambda: places(gateway)[0].state == "resting", "the address to rest")

            statuses = [(await free(gateway)).status for _ in range(4)]

            assert statuses == [200] * 4
            assert {seen.path for seen in ill.seen} == {"/health"}
            assert places(gateway)[0].failure == "answers 500 to /health"
            ill.plan("/health", GOOD)
            await until(lambda: places(gateway)[0].state == "ok", "the address to come back")


async def test_one_check_that_is_lost_sends_nobody_to_rest(start: Start, upstream: Upstream) -> None:
    lost = [answers.failed(500), GOOD] * 3
    upstream.plan("/health", *lost)
    async with start(configuration(table("worker", upstream.url, settings=CHECK))) as gateway:
        await upstream.request(len(lost) + 1)

        assert places(gateway)[0].rests_total == 0


async def test_an_address_that_does_not_answer_its_checks_rests(start: Start, upstream: Upstream) -> None:
    upstream.plan("/health", faults.unanswered)
    async with start(configuration(table("worker", upstream.url, settings=CHECK))) as gateway:
        await until(lambda: places(gateway)[0].state == "resting", "the address to rest")

        assert places(gateway)[0].failure == "does not answer to /health in time"
        assert places(gateway)[0].health.hangs


async def test_where_calls_have_failed_a_good_check_lets_one_call_try(start: Start, upstream: Upstream) -> None:
    upstream.plan("*", faults.reset(), GOOD)
    upstream.plan("/health", GOOD)
    async with start(configuration(table("worker", upstream.url, settings=f"failures_max = 1\n{CHECK}"))) as gateway:
        assert (await free(gateway)).status == 502
        await until(lambda: places(gateway)[0].state == "trial", "the end of the rest")

        assert (await free(gateway)).status == 200
        assert places(gateway)[0].state == "ok"


async def test_the_checks_carry_the_upstreams_fields_and_end_with_the_gateway(start: Start, upstream: Upstream) -> None:
    upstream.plan("/health", faults.unanswered)
    before = asyncio.all_tasks()
    settings = 'check = { path = "/health", seconds = 60 }\nheaders = { Modal-Key = "k" }'
    async with start(configuration(table("worker", upstream.url, settings=settings))):
        seen = await upstream.request()

    await upstream.until(lambda: seen.hung_up, "the check to be given up")
    assert seen.value("Modal-Key") == "k"
    left = [task for task in asyncio.all_tasks() - before if "Checking" in repr(task)]
    assert left == []


async def test_without_checks_a_resting_worker_is_left_asleep(start: Start, upstream: Upstream) -> None:
    upstream.plan("*", GOOD)
    async with start(configuration(table("worker", upstream.url))) as gateway:
        (place,) = places(gateway)
        place.health.unreachable("nobody is there", place.rests_total)
        await until(lambda: place.state == "trial", "the end of the rest")

    assert upstream.seen == []
