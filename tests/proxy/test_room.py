"""No more calls than a worker takes; the others wait outside, in their order, for a while, and with their bodies."""

import asyncio

import pytest

from tests.conftest import Start
from tests.gateway import Customer, Gateway, configuration
from tests.peers import answers, faults, raw, streams
from tests.peers.exchange import Behaviour
from tests.peers.upstream import Upstream
from tests.proxy.behind import PATH, Answered, free, paid, places, table, until, worker

GOOD = answers.answer(200, b"cut-out")


def one(upstream: Upstream, settings: str = "") -> str:
    """A configuration whose worker takes one call at a time."""
    return configuration(table("worker", upstream.url, settings=f"concurrency = 1\n{settings}"))


async def waiting(gateway: Gateway, count: int) -> None:
    await until(lambda: worker(gateway).waiting == count, f"{count} calls to wait")


async def begun(gateway: Gateway, upstream: Upstream, gate: asyncio.Event) -> "asyncio.Task[Answered]":
    """A call that the worker is at, until the gate opens."""
    upstream.plan("*", streams.gated(gate, GOOD))
    call = asyncio.create_task(free(gateway))
    await upstream.request()
    return call


async def test_each_address_has_at_most_its_number_and_the_others_wait_for_it(start: Start, upstream: Upstream) -> None:
    gate = asyncio.Event()
    async with Upstream.start() as second:
        for each in (upstream, second):
            each.plan("*", streams.gated(gate, GOOD))
        text = configuration(table("worker", upstream.url, second.url, settings="concurrency = 2"))
        async with start(text) as gateway:
            customer = await gateway.customer()
            calls = [asyncio.create_task(paid(customer)) for _ in range(10)]
            await waiting(gateway, 6)
            for each in (upstream, second):
                await each.request(2)  # to have a place is not to have arrived

            under_way = [place.in_flight for place in places(gateway)]
            seen = len(upstream.seen) + len(second.seen)
            gate.set()
            statuses = [answered.status for answered in await asyncio.gather(*calls)]

            assert (under_way, seen) == ([2, 2], 4)
            assert statuses == [200] * 10
            assert [place.in_flight for place in places(gateway)] == [0, 0]
            assert (await customer.settled())["spent"] == "10"


async def test_who_came_first_goes_first(start: Start, upstream: Upstream) -> None:
    gate = asyncio.Event()
    async with start(one(upstream)) as gateway:
        calls = [await begun(gateway, upstream, gate)]
        for number in range(5):
            calls.append(asyncio.create_task(free(gateway, path=f"/free/{number}")))
            await waiting(gateway, number + 1)

        gate.set()
        await asyncio.gather(*calls)

    assert [seen.path for seen in upstream.seen] == ["/open/x", *(f"/open/{number}" for number in range(5))]


@pytest.mark.parametrize(("settings", "waits"), [("queue = 0", 0), ("queue = 2", 2)])
async def test_a_call_that_finds_the_queue_full_is_503_and_costs_nothing(
    start: Start, upstream: Upstream, settings: str, waits: int
) -> None:
    gate = asyncio.Event()
    async with start(one(upstream, settings)) as gateway:
        customer = await gateway.customer()
        calls = [await begun(gateway, upstream, gate), *(asyncio.create_task(free(gateway)) for _ in range(waits))]
        await waiting(gateway, waits)

        answered = await paid(customer)

        assert (answered.status, b"upstream-unavailable" in answered.body) == (503, True)
        assert int(answered.retry_after or 0) > 0
        assert (await customer.settled())["available"] == "100"
        gate.set()
        assert [answered.status for answered in await asyncio.gather(*calls)] == [200] * (1 + waits)


async def test_a_call_that_has_waited_too_long_is_503_and_costs_nothing(start: Start, upstream: Upstream) -> None:
    gate = asyncio.Event()
    async with start(one(upstream, "queue_seconds = 0.1")) as gateway:
        customer = await gateway.customer()
        call = await begun(gateway, upstream, gate)

        answered = await paid(customer)

        assert answered.status == 503
        assert (await customer.settled())["available"] == "100"
        assert (worker(gateway).waiting, len(upstream.seen)) == (0, 1)
        gate.set()
        assert (await call).status == 200


async def test_a_body_is_not_invited_before_there_is_room_for_its_call(start: Start, upstream: Upstream) -> None:
    gate = asyncio.Event()
    async with start(one(upstream)) as gateway, raw.connect(gateway.url) as client:
        call = await begun(gateway, upstream, gate)
        await client.send(b"POST /free/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        await waiting(gateway, 1)

        with pytest.raises(AssertionError, match="bytes of the server"):
            await client.read_some(1, seconds=0.1)

        gate.set()
        assert (await client.head()).status == 100
        await client.send(b"body")
        assert (await client.reply()).status == 200
        await call


async def test_a_body_that_was_never_invited_is_refused_with_its_connection(start: Start, upstream: Upstream) -> None:
    gate = asyncio.Event()
    async with start(one(upstream, "queue = 0")) as gateway, raw.connect(gateway.url) as client:
        call = await begun(gateway, upstream, gate)

        await client.send(b"POST /free/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        reply = await client.reply()

        assert (reply.status, reply.interim, reply.value("Connection")) == (503, [], "close")
        gate.set()
        await call


async def test_a_caller_of_a_free_route_who_hangs_up_leaves_the_queue(start: Start, upstream: Upstream) -> None:
    gate = asyncio.Event()
    async with start(one(upstream)) as gateway:
        call = await begun(gateway, upstream, gate)
        async with raw.connect(gateway.url) as client:
            await client.send(b"GET /free/left HTTP/1.1\r\nHost: x\r\n\r\n")
            await waiting(gateway, 1)
            client.reset()
        await waiting(gateway, 0)

        gate.set()
        await call
        assert (await free(gateway)).status == 200
        assert "/open/left" not in {seen.path for seen in upstream.seen}


async def test_a_paid_call_whose_caller_left_while_it_waited_is_not_sent_and_not_paid(
    start: Start, upstream: Upstream
) -> None:
    gate = asyncio.Event()
    async with start(one(upstream, "queue_seconds = 600")) as gateway:
        customer = await gateway.customer()
        call = await begun(gateway, upstream, gate)
        async with raw.connect(gateway.url) as client:
            await client.send(
                f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-API-Key: {customer.key}\r\nContent-Length: 1\r\n\r\nx".encode()
            )
            await waiting(gateway, 1)
            client.reset()
        await waiting(gateway, 0)  # and stands in nobody's way
        gate.set()
        await call

        assert (await customer.settled())["available"] == "100"
        assert len(upstream.seen) == 1
        assert (await free(gateway)).status == 200


ENDS: dict[str, Behaviour] = {
    "success": GOOD,
    "reset": faults.reset(),
    "500": answers.failed(500),
    "503": answers.starting(),
    "422": answers.answer(422),
    "cut": faults.reset_at(10),
    "too late": faults.unanswered,
    "silent": faults.silent_after(b"x"),
}


@pytest.mark.parametrize("paying", [True, False], ids=["paid", "free"])
async def test_room_is_given_back_once_however_a_call_ends(start: Start, upstream: Upstream, *, paying: bool) -> None:
    settings = "concurrency = 2\nfirst_byte_seconds = 0.2\nidle_seconds = 0.2"
    async with start(configuration(table("worker", upstream.url, settings=settings))) as gateway:
        customer = await gateway.customer()
        (place,) = places(gateway)
        for behaviour in ENDS.values():
            upstream.plan("*", behaviour)
            await asyncio.gather(*(_ended(gateway, customer if paying else None) for _ in range(5)))
            await until(lambda: place.in_flight == 0, "the room to be given back")

        assert worker(gateway).waiting == 0
        assert (await customer.settled())["spent"] == ("5" if paying else "0")
        assert await gateway.violations() == {}


async def _ended(gateway: Gateway, customer: Customer | None) -> None:
    key = "" if customer is None else f"X-API-Key: {customer.key}\r\n"
    path = "/free/x" if customer is None else PATH
    async with raw.connect(gateway.url) as client:
        await client.ask(f"POST {path} HTTP/1.1\r\nHost: x\r\n{key}Content-Length: 1\r\n\r\nx".encode())


async def test_room_is_given_back_when_the_answer_is_complete_and_not_before(start: Start, upstream: Upstream) -> None:
    tick = asyncio.Event()
    upstream.plan("/open/slow", streams.drip([b"first", b"last"], tick))
    upstream.plan("*", GOOD)
    async with start(one(upstream)) as gateway:
        async with gateway.session.get("/free/slow") as answer:
            first = await answer.content.readany()
            other = asyncio.create_task(free(gateway))
            await waiting(gateway, 1)
            tick.set()
            last = await answer.content.read()

        assert (first, last) == (b"first", b"last")
        assert (await other).status == 200


async def test_who_hangs_up_within_the_answer_of_a_free_call_makes_room(start: Start, upstream: Upstream) -> None:
    upstream.plan("/open/endless", streams.endless())
    upstream.plan("*", GOOD)
    async with start(one(upstream)) as gateway:
        async with raw.connect(gateway.url) as client:
            await client.send(b"GET /free/endless HTTP/1.1\r\nHost: x\r\n\r\n")
            await client.head()
            client.reset()

        assert (await free(gateway)).status == 200


async def test_room_comes_before_the_pace(start: Start, upstream: Upstream) -> None:
    """Whoever waits for room has not used up a start."""
    gate = asyncio.Event()
    async with start(one(upstream, 'max_rate = "3/d"\nqueue_seconds = 0.1')) as gateway:
        call = await begun(gateway, upstream, gate)
        refused = [await free(gateway) for _ in range(3)]
        gate.set()
        await call

        later = [await free(gateway) for _ in range(2)]

        assert [answered.status for answered in refused] == [503] * 3
        assert [answered.status for answered in later] == [200] * 2
