"""An address that fails is left alone, tried by one call, and asked again; nobody pays for any of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from tests.conftest import Start
from tests.gateway import Gateway, configuration
from tests.peers import answers, dead_ends, faults, raw, streams
from tests.peers.exchange import Behaviour
from tests.peers.upstream import Upstream
from tests.proxy.behind import LONG, SHORT, free, paid, places, table, until

GOOD = answers.answer(200, b"cut-out")
HURRIED = "connect_seconds = 0.3\nfirst_byte_seconds = 0.3"


async def test_an_address_that_cannot_be_connected_to_rests_at_once(start: Start, upstream: Upstream) -> None:
    upstream.plan("*", GOOD)
    with dead_ends.closed_port() as dead:
        async with start(configuration(table("worker", dead, upstream.url, settings=LONG))) as gateway:
            customer = await gateway.customer()

            calls = [await paid(customer) for _ in range(6)]

            assert [call.status for call in calls] == [200] * 6
            assert [(place.state, place.failures_total, place.rests_total) for place in places(gateway)] == [
                ("resting", 1, 1),
                ("ok", 0, 0),
            ]
            assert (await customer.settled())["spent"] == "6"
            assert await gateway.violations() == {}


FAULTS = {
    "reset": faults.reset(),
    "closed": faults.closed,
    "no answer": faults.unanswered,
    "garbage": faults.garbage(),
    "500": answers.failed(500),
    "502": answers.failed(502),
    "504": answers.failed(504),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_an_address_whose_calls_fail_in_a_row_rests_and_only_those_calls_are_lost(
    start: Start, upstream: Upstream, name: str
) -> None:
    upstream.plan("*", GOOD)
    async with Upstream.start() as broken:
        broken.plan("*", FAULTS[name])
        text = table("worker", broken.url, upstream.url, settings=f"failures_max = 2\n{HURRIED}\n{LONG}")
        async with start(configuration(text)) as gateway:
            customer = await gateway.customer()

            statuses = [(await paid(customer)).status for _ in range(8)]

            assert len(broken.seen) == 2
            assert [status for status in statuses if status != 200] == [
                504 if name in {"no answer", "504"} else 502
            ] * 2
            assert places(gateway)[0].state == "resting"
            assert (await customer.settled())["spent"] == "6"
            assert await gateway.violations() == {}


@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 503])
async def test_what_a_worker_refuses_is_no_failure_of_its_address(
    start: Start, upstream: Upstream, status: int
) -> None:
    upstream.plan("*", answers.answer(status, b"no"))
    async with start(configuration(table("worker", upstream.url, settings=f"failures_max = 1\n{LONG}"))) as gateway:
        for _ in range(3):
            await free(gateway)

        (place,) = places(gateway)
        assert (place.state, place.failures_total, place.rests_total) == ("ok", 0, 0)


async def test_a_body_that_its_caller_breaks_is_no_failure_of_the_address(start: Start, upstream: Upstream) -> None:
    upstream.plan("*", answers.digest())
    async with start(configuration(table("worker", upstream.url, settings=f"failures_max = 1\n{LONG}"))) as gateway:
        assert await break_body(gateway, upstream, 1) == 400
        assert (places(gateway)[0].state, places(gateway)[0].failures_total) == ("ok", 0)


async def break_body(gateway: Gateway, worker: Upstream, count: int) -> int:
    """The status of a call whose body breaks when the worker, for which it is the count-th, has begun to read it."""
    async with raw.connect(gateway.url) as client:
        await client.send(b"POST /free/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n")
        await worker.request(count)
        return (await client.ask(b"zz\r\n", "POST")).status


@asynccontextmanager
async def on_trial(start: Start, good: Upstream, then: Behaviour) -> AsyncIterator[tuple[Gateway, Upstream]]:
    """A worker that has rested, and treats its trial and what follows like this, beside a good one."""
    good.plan("*", GOOD)
    async with Upstream.start() as broken:
        broken.plan("*", faults.reset(), then)
        text = table("worker", broken.url, good.url, settings=f"failures_max = 1\n{SHORT}")
        async with start(configuration(text)) as gateway:
            assert (await free(gateway)).status == 502
            await until(lambda: places(gateway)[0].state == "trial", "the end of the rest")
            yield gateway, broken


async def test_one_call_tries_an_address_and_others_pass_it_by_until_that_one_has_answered(
    start: Start, upstream: Upstream
) -> None:
    gate = asyncio.Event()
    async with on_trial(start, upstream, streams.gated(gate, GOOD)) as (gateway, broken):
        trial = asyncio.create_task(free(gateway))
        await broken.request(2)

        others = [await free(gateway) for _ in range(4)]

        assert [other.status for other in others] == [200] * 4
        assert len(broken.seen) == 2
        assert places(gateway)[0].state == "trial"
        gate.set()
        assert (await trial).status == 200
        assert places(gateway)[0].state == "ok"
        await asyncio.gather(*(free(gateway) for _ in range(4)))
        assert len(broken.seen) > 2


async def test_a_trial_has_answered_with_its_head_and_not_only_with_its_last_byte(
    start: Start, upstream: Upstream
) -> None:
    tick = asyncio.Event()
    async with on_trial(start, upstream, streams.drip([b"first", b"last"], tick)) as (gateway, broken):
        trial = asyncio.create_task(free(gateway))
        await broken.request(2)

        await until(lambda: places(gateway)[0].state == "ok", "the head to count")

        assert not trial.done()
        tick.set()
        assert (await trial).body == b"firstlast"


async def test_a_trial_whose_caller_hangs_up_leaves_its_turn_to_the_next_call(start: Start, upstream: Upstream) -> None:
    async with on_trial(start, upstream, faults.unanswered) as (gateway, broken):
        async with raw.connect(gateway.url) as client:
            await client.send(b"GET /free/x HTTP/1.1\r\nHost: x\r\n\r\n")
            await broken.request(2)
            client.reset()
        await until(lambda: not places(gateway)[0].health.is_tried, "the end of the trial")
        broken.plan("*", GOOD)

        answered = await free(gateway)

        assert answered.status == 200
        assert len(broken.seen) == 3
        assert places(gateway)[0].state == "ok"


async def test_a_trial_whose_caller_breaks_its_body_leaves_its_turn_to_the_next_call(
    start: Start, upstream: Upstream
) -> None:
    async with on_trial(start, upstream, answers.digest()) as (gateway, broken):
        status = await break_body(gateway, broken, 2)
        state = places(gateway)[0].state

        await free(gateway)

        assert (status, state) == (400, "trial")
        assert len(broken.seen) == 3
        assert places(gateway)[0].state == "ok"


async def test_a_trial_whose_caller_is_slow_does_not_keep_others_away_for_as_long(
    start: Start, upstream: Upstream
) -> None:
    """A worker that hung, and is back; the call that tries it is an upload which takes for ever."""
    upstream.plan("*", answers.digest())
    settings = f"first_byte_seconds = 0.3\n{LONG}"
    async with start(configuration(table("worker", upstream.url, settings=settings))) as gateway:
        (place,) = places(gateway)
        for _ in range(5):
            place.health.failed("took too long", place.rests_total, hangs=True)
        async with raw.connect(gateway.url) as client:
            await client.send(b"POST /free/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n")
            await upstream.request()
            assert place.health.is_tried
            await until(lambda: not place.health.is_tried, "the turn of the next one")

            assert (await free(gateway)).status == 200
            assert place.state == "ok"
            assert (await client.ask(b"0\r\n\r\n", "POST")).status == 200


async def test_a_trial_that_fails_costs_nothing_and_the_address_rests_again(start: Start, upstream: Upstream) -> None:
    async with on_trial(start, upstream, faults.reset()) as (gateway, _):
        customer = await gateway.customer()

        answered = await paid(customer)

        assert answered.status == 502
        assert (places(gateway)[0].failures_total, places(gateway)[0].rests_total) == (2, 2)
        assert (await customer.settled())["available"] == "100"


async def test_when_all_rest_a_worker_that_is_back_is_found_by_the_next_calls(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    with dead_ends.closed_port() as url:
        port = urlsplit(url).port or 0
    async with start(configuration(table("worker", url, settings=LONG))) as gateway:
        away = [await free(gateway) for _ in range(3)]
        state = places(gateway)[0].state
        async with Upstream.start(port) as back:
            back.plan("*", GOOD)

            statuses = [answered.status for answered in await asyncio.gather(*(free(gateway) for _ in range(20)))]

            assert ([answered.status for answered in away], state) == ([502] * 3, "resting")
            assert statuses == [200] * 20
            assert places(gateway)[0].state == "ok"
    assert caplog.text.count(f"{url} rests for 3600 s: ") == 1
    assert caplog.text.count(f"{url} is back") == 1


async def test_when_all_rest_calls_that_fail_at_once_are_not_refused_for_it(start: Start, upstream: Upstream) -> None:
    upstream.plan("*", answers.failed(500))
    async with start(configuration(table("worker", upstream.url, settings=f"failures_max = 2\n{LONG}"))) as gateway:
        failed = [(await free(gateway)).status for _ in range(5)]
        upstream.plan("*", GOOD)

        assert failed == [502] * 5
        assert (await free(gateway)).status == 200
        assert places(gateway)[0].state == "ok"


async def test_when_all_rest_one_that_hangs_holds_one_caller_and_refuses_the_others_at_once(
    start: Start, upstream: Upstream
) -> None:
    gate = asyncio.Event()
    upstream.plan("*", streams.gated(gate, GOOD))
    async with start(configuration(table("worker", upstream.url, settings=LONG))) as gateway:
        customer = await gateway.customer()
        (place,) = places(gateway)
        for _ in range(5):
            place.health.failed("took too long", place.rests_total, hangs=True)
        trial = asyncio.create_task(paid(customer))
        await upstream.request()

        refused = [await paid(customer) for _ in range(4)]

        assert [answered.status for answered in refused] == [503] * 4
        assert all(int(answered.retry_after or 0) > 0 for answered in refused)
        assert len(upstream.seen) == 1
        gate.set()
        assert (await trial).status == 200
        assert (await paid(customer)).status == 200
        assert (await customer.settled())["spent"] == "2"
        assert await gateway.violations() == {}


async def test_equally_busy_addresses_take_turns(start: Start, upstream: Upstream) -> None:
    async with Upstream.start() as second, Upstream.start() as third:
        for each in (upstream, second, third):
            each.plan("*", GOOD)
        async with start(configuration(table("worker", upstream.url, second.url, third.url))) as gateway:
            for _ in range(9):
                await free(gateway)

        assert [len(each.seen) for each in (upstream, second, third)] == [3, 3, 3]
