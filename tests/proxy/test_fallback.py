"""Another upstream takes a call of which nothing was sent, and no other; the caller pays once, for one answer."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, nullcontext

import pytest

from tests.conftest import Start
from tests.gateway import Customer, Gateway, configuration
from tests.peers import answers, dead_ends, faults, raw, streams
from tests.peers.exchange import Behaviour
from tests.peers.upstream import Upstream
from tests.proxy.behind import LONG, PATH, WORKER, Answered, free, paid, places, table, until, worker

GOOD = answers.answer(200, b"spare's")
LARGE = b"x" * 300_000
QUEUED = "concurrency = 1\nqueue = 0"


@pytest.fixture
async def spare() -> AsyncIterator[Upstream]:
    async with Upstream.start() as spare:
        spare.plan("*", GOOD)
        yield spare


def both(main: str, spare: Upstream, settings: str = "", own: str = "") -> str:
    """An upstream with these settings whose fallback is the spare one, which has its own."""
    return table("worker", main, settings=f'fallback = "spare"\n{settings}') + table("spare", spare.url, settings=own)


async def paid_at(customer: Customer, target: str, body: bytes = b"picture") -> Answered:
    async with customer.gateway.session.post(target, data=body, headers=customer.fields) as answer:
        return Answered(answer.status, await answer.read(), answer.headers.get("Retry-After"))


@asynccontextmanager
async def busy(gateway: Gateway, main: Upstream) -> AsyncIterator[None]:
    """A call is under way at the main worker during the block."""
    gate = asyncio.Event()
    main.plan("/open/busy", streams.gated(gate, GOOD))
    call = asyncio.create_task(free(gateway, path="/free/busy"))
    await main.request()
    yield
    gate.set()
    await call


def rest(gateway: Gateway, _: Upstream) -> AbstractAsyncContextManager[None]:
    (place,) = places(gateway)
    place.health.failed_checks("answers 500 to /health", 3600, hangs=False)
    return nullcontext()


def idle(_: Gateway, __: Upstream) -> AbstractAsyncContextManager[None]:
    return nullcontext()


SETTINGS: dict[str, tuple[str, Callable[[Gateway, Upstream], AbstractAsyncContextManager[None]]]] = {
    "all rest": ("", rest),
    "no room": (QUEUED, busy),
    "waited for room": ("concurrency = 1\nqueue_seconds = 0.1", busy),
    "does not wake": ('wake = { path = "/ready", seconds = 0.3 }', idle),
    "will never wake": ('wake = { path = "/gone", seconds = 30 }', idle),
}


@pytest.mark.parametrize("body", [b"picture", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("case", SETTINGS)
async def test_a_call_that_could_not_be_sent_goes_to_the_fallback_and_is_paid_once(
    start: Start, upstream: Upstream, spare: Upstream, case: str, body: bytes
) -> None:
    settings, arrange = SETTINGS[case]
    upstream.plan(WORKER, answers.starting())
    upstream.plan("/ready", answers.starting())
    upstream.plan("/gone", answers.answer(404))
    spare.plan(WORKER, answers.digest())
    async with start(configuration(both(upstream.url, spare, f"{settings}\n{LONG}"))) as gateway:
        customer = await gateway.customer()
        async with arrange(gateway, upstream):
            answered = await paid_at(customer, f"{PATH}?a=1&b", body)

        assert (answered.status, b'"bytes": %d' % len(body) in answered.body) == (200, True)
        assert [seen.target for seen in spare.seen] == [f"{WORKER}?a=1&b".encode()]
        assert worker(gateway).passed_on_total == 1
        assert (await customer.settled())["spent"] == "1"
        assert await gateway.violations() == {}


@pytest.mark.parametrize("dead_end", [dead_ends.closed_port, dead_ends.full_backlog])
async def test_where_nobody_can_be_connected_to_the_fallback_gets_the_call(
    start: Start, spare: Upstream, dead_end: Callable[[], AbstractContextManager[str]]
) -> None:
    with dead_end() as url:
        async with start(configuration(both(url, spare, f"connect_seconds = 0.3\n{LONG}"))) as gateway:
            customer = await gateway.customer()

            bodies = [(await paid(customer)).body for _ in range(3)]

            assert bodies == [b"spare's"] * 3
            assert places(gateway)[0].failures_total == 1, "only the first call had to try"
            assert (await customer.settled())["spent"] == "3"
            assert await gateway.violations() == {}


SENT: dict[str, tuple[Behaviour, int]] = {
    "reset": (faults.reset(), 502),
    "closed": (faults.closed, 502),
    "no answer": (faults.unanswered, 504),
    "500": (answers.failed(500), 502),
    "503": (answers.starting(), 503),
    "429": (answers.too_many(), 503),
    "422": (answers.answer(422), 422),
}


@pytest.mark.parametrize("name", SENT)
async def test_a_call_that_was_sent_is_never_sent_elsewhere(
    start: Start, upstream: Upstream, spare: Upstream, name: str
) -> None:
    behaviour, status = SENT[name]
    upstream.plan("*", behaviour)
    async with start(configuration(both(upstream.url, spare, "first_byte_seconds = 0.3"))) as gateway:
        customer = await gateway.customer()

        answered = await paid(customer)

        assert answered.status == status
        assert spare.seen == []
        assert await customer.settled() == {"available": "100", "held": "0", "spent": "0", "granted": "100"}


async def test_an_answer_that_breaks_off_is_not_mixed_with_the_fallbacks(
    start: Start, upstream: Upstream, spare: Upstream
) -> None:
    upstream.plan("*", faults.reset_at(10))
    async with start(configuration(both(upstream.url, spare))) as gateway:
        customer = await gateway.customer()

        async with raw.connect(gateway.url) as client:
            reply = await client.ask(
                f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-API-Key: {customer.key}\r\nContent-Length: 1\r\n\r\nx".encode()
            )

        assert reply.status == 502 or reply.ending == "cut"
        assert spare.seen == []
        assert (await customer.settled())["spent"] == "0"


async def test_each_upstream_gets_its_own_fields_only(start: Start, spare: Upstream) -> None:
    main, own = 'headers = { Modal-Key = "main", X-Main = "m" }', 'headers = { Modal-Key = "spare" }'
    with dead_ends.closed_port() as url:
        async with start(configuration(both(url, spare, main, own))) as gateway:
            await free(gateway)

    (seen,) = spare.seen
    assert seen.values("Modal-Key") == ["spare"]
    assert seen.values("X-Main") == []


async def test_the_body_is_invited_once_and_arrives_whole(start: Start, spare: Upstream) -> None:
    spare.plan("*", answers.digest())
    with dead_ends.closed_port() as url:
        async with start(configuration(both(url, spare))) as gateway:
            async with raw.connect(gateway.url) as client:
                await client.send(
                    b"POST /free/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 300000\r\n\r\n"
                )
                invited = await client.head()
                await client.send(LARGE)
                reply = await client.reply()

    assert (invited.status, reply.status, reply.interim) == (100, 200, [])
    assert spare.seen[0].upload.count == 300_000


@pytest.mark.parametrize("wakes", [False, True], ids=["nobody there", "does not wake"])
@pytest.mark.parametrize("use", ["removebg", "withoutbg"])
async def test_a_call_in_another_services_words_reaches_the_fallback_whole(
    start: Start, upstream: Upstream, spare: Upstream, use: str, *, wakes: bool
) -> None:
    upstream.plan("*", answers.starting())
    spare.plan("*", answers.answer(200, b"cut-out", [("Content-Type", "image/png")]))
    path, name = {
        "removebg": ("/v1.0/removebg", "image_file_b64"),
        "withoutbg": ("/v1.0/alpha-channel-base64", "image_base64"),
    }[use]
    route = f'[[routes]]\nuse = "{use}"\nupstream = "worker"\nprice = "1"\n'
    with dead_ends.closed_port() as dead:
        main = upstream.url if wakes else dead
        settings = 'wake = { path = "/ready", seconds = 0.2 }' if wakes else ""
        async with start(configuration(both(main, spare, settings), routes=route)) as gateway:
            customer = await gateway.customer()
            picture = {name: base64.b64encode(b"the whole picture").decode()}

            async with gateway.session.post(path, json=picture, headers=customer.fields) as answer:
                status = answer.status

            assert status == 200
            assert b"the whole picture" in spare.seen[0].body
            assert (await customer.settled())["spent"] == "1"


async def test_the_timing_of_the_fallback_counts_there(start: Start, spare: Upstream) -> None:
    spare.plan("*", faults.unanswered)
    with dead_ends.closed_port() as url:
        async with start(configuration(both(url, spare, own="first_byte_seconds = 0.2"))) as gateway:
            assert (await free(gateway)).status == 504


async def test_a_fallback_that_sleeps_is_woken(start: Start, spare: Upstream) -> None:
    spare.plan("/open/x", answers.starting(), answers.digest())
    spare.plan("/ready", answers.starting(), GOOD)
    with dead_ends.closed_port() as url:
        text = both(url, spare, own='wake = { path = "/ready", seconds = 10 }')
        async with start(configuration(text)) as gateway:
            answered = await free(gateway)

    assert answered.status == 200
    assert [seen.path for seen in spare.seen] == ["/open/x", "/ready", "/ready", "/open/x"]


async def test_a_chain_ends_at_the_first_upstream_that_somebody_is_at(start: Start, spare: Upstream) -> None:
    with dead_ends.closed_port() as one, dead_ends.closed_port() as two:
        tables = (
            table("worker", one, settings='fallback = "second"')
            + table("second", two, settings='fallback = "third"')
            + table("third", spare.url)
        )
        async with start(configuration(tables)) as gateway:
            customer = await gateway.customer()

            answered = await paid(customer)

            assert answered.body == b"spare's"
            assert [worker(gateway, name).passed_on_total for name in ("worker", "second", "third")] == [1, 1, 0]
            assert (await customer.settled())["spent"] == "1"


async def test_where_nobody_is_at_the_end_of_the_chain_either_the_call_costs_nothing(start: Start) -> None:
    with dead_ends.closed_port() as one, dead_ends.closed_port() as two:
        tables = table("worker", one, settings='fallback = "spare"') + table("spare", two)
        async with start(configuration(tables)) as gateway:
            customer = await gateway.customer()

            answered = await paid(customer)

            assert answered.status == 502
            assert await customer.settled() == {"available": "100", "held": "0", "spent": "0", "granted": "100"}


async def test_the_charge_may_stay_open_as_long_as_the_whole_chain_takes(start: Start, spare: Upstream) -> None:
    async def seconds(settings: str, own: str) -> float:
        with dead_ends.closed_port() as url:
            async with start(configuration(both(url, spare, settings, own))) as gateway:
                customer = await gateway.customer()
                async with gateway.session.post(PATH, data=b"p", headers=customer.fields) as answer:
                    charge = await gateway.charge(answer.headers["X-Request-ID"])
                span: float = (charge["deadline"] - charge["opened_at"]).total_seconds()
                return span

    short = await seconds("total_seconds = 100", "total_seconds = 200")
    long = await seconds(
        "total_seconds = 1100\nconcurrency = 1\nqueue_seconds = 3000", "total_seconds = 5200\nmax_rate = '9/s'"
    )

    assert long - short == pytest.approx(1000 + 2990 + 5000 + 10, abs=5)


async def test_the_main_upstream_is_asked_again_when_it_is_back(start: Start, spare: Upstream) -> None:
    async with Upstream.start() as main:
        main.plan("*", answers.answer(200, b"main's"))
        settings = "rest_seconds = 0.05\nrest_seconds_max = 0.05"
        async with start(configuration(both(main.url, spare, settings))) as gateway:
            (place,) = places(gateway)
            place.health.unreachable("nobody is there", place.rests_total)
            away = await free(gateway)
            await until(lambda: place.state == "trial", "the end of the rest")

            back = await free(gateway)

    assert away.body in {b"spare's", b"main's"}
    assert back.body == b"main's"
