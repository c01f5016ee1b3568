"""Which requests get through: none that can be read in two ways, and none that slips by its price."""

import asyncio
import io

import pytest

from nijika.errors import BadPath
from nijika.proxy.path import canonical
from tests.conftest import Start
from tests.gateway import Customer, Gateway, configuration, upstream_table
from tests.peers import answers, faults, raw, streams
from tests.peers.exchange import Exchange
from tests.peers.malformed import MALFORMED
from tests.peers.malformed.case import Malformed
from tests.peers.paths import SPELLINGS, Spelling
from tests.peers.patience import within
from tests.peers.upstream import Upstream

PATH = "/api/removebg"


@pytest.mark.parametrize("case", MALFORMED, ids=str)
async def test_a_malformed_request_is_refused_and_reaches_no_worker(
    gateway: Gateway, customer: Customer, upstream: Upstream, case: Malformed
) -> None:
    upstream.plan("*", answers.digest())

    async with raw.connect(gateway.url) as client:
        reply = await client.ask(case.request(key=customer.key.encode()))
        closed = case.framed or await client.closed()

    if case.forgivable and reply.status == 200:
        assert (await customer.settled())["spent"] == "1"
        return
    assert reply.status in case.accepted
    assert reply.value("Content-Type") == "application/problem+json"
    assert closed, "what comes next on this connection has no clear beginning"
    assert not any(seen.complete for seen in upstream.seen)
    assert (await customer.settled())["available"] == "100"


async def test_who_sends_on_behind_a_malformed_head_is_told_so_before_the_connection_ends(gateway: Gateway) -> None:
    """A reset would wipe the answer out; a proxy in front takes that for the gateway's failure, and leaves it out."""
    async with raw.connect(gateway.url) as client:
        await client.send(b"POST /free/x HTTP/1.1\r\nHost: x\r\nX : y\r\nContent-Length: 8000000\r\n\r\n")
        for _ in range(30):
            await client.send(b"x" * 100_000)
        reply = await client.reply()

        assert (reply.status, reply.ending) == (400, "length")
        assert await client.closed()


@pytest.mark.parametrize("spelling", SPELLINGS, ids=str)
async def test_each_spelling_of_a_priced_path_is_refused_or_priced(
    gateway: Gateway, customer: Customer, upstream: Upstream, spelling: Spelling
) -> None:
    upstream.plan("*", answers.digest())

    async with raw.connect(gateway.url) as client:
        reply = await client.ask(spelling.request(key=customer.key.encode()))

    spent = (await customer.settled())["spent"]
    if reply.status == 200:
        assert spent == "1"
        assert upstream.seen[0].path == "/v1/cutout"
    else:
        assert reply.status in {400, 404, 405}
        assert (spent, upstream.seen) == ("0", [])


@pytest.mark.parametrize(
    ("raw_target", "path"),
    [
        ("/a%2Db", "/a-b"),
        ("/%61", "/a"),
        ("/a%20b", "/a%20b"),
        ("/%c3%a9", "/%C3%A9"),
        ("/a+b;c=1", "/a+b;c=1"),
        ("/v1/models%3Apredict", "/v1/models:predict"),
        ("/%21%24%26%27%28%29%2A%2B%2C%3D%40", "/!$&'()*+,=@"),
        ("/", "/"),
    ],
)
def test_a_path_has_one_canonical_spelling(raw_target: str, path: str) -> None:
    assert canonical(raw_target).path == path
    assert canonical(path).path == path, "canonical is final"


@pytest.mark.parametrize(
    "target",
    ["", "*", "x", "http://h/x", "//x", "/x//y", "/.", "/..", "/a/../b", "/a/./b", "/..;/x", "/a%2fb", "/a%2Fb", "/%2e%2e/x",
     "/%5cx", "/a%3bb", "/\\x", "/%00", "/%1f", "/%7f", "/%", "/%2", "/%zz", "/\x01", "/ x", "/é", '/"x', "/<x>", "/x#y", "/x?a b"],
)  # fmt: skip
def test_a_path_with_two_readings_is_refused(target: str) -> None:
    with pytest.raises(BadPath):
        canonical(target)


async def test_the_query_reaches_the_worker_as_it_was_written(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plan("*", answers.digest())

    async with raw.connect(gateway.url) as client:
        await client.ask(b"GET /free/x?a=%2F..%2f&b=+%20&a=2&c HTTP/1.1\r\nHost: x\r\n\r\n")

    assert upstream.seen[0].target == b"/open/x?a=%2F..%2f&b=+%20&a=2&c"


REFUSALS = {
    "401": (b"", 401),
    "402": (b"X-API-Key: %(poor)s\r\n", 402),
    "413": (b"X-API-Key: %(rich)s\r\n", 413),
    "415": (b"X-API-Key: %(rich)s\r\nContent-Type: text/plain\r\n", 415),
    "404": (b"", 404),
    "405": (b"", 405),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_comes_before_the_body_is_invited(start: Start, upstream: Upstream, name: str) -> None:
    route = (
        '[[routes]]\nuse = "proxy"\npath = "/api/removebg"\nupstream = "worker"\nprice = "1"\n'
        'body_bytes_max = 1000\ncontent_types = ["image/*"]'
    )
    fields, status = REFUSALS[name]
    async with start(configuration(upstream_table(upstream.url), routes=route)) as gateway:
        rich, poor = await gateway.customer(), await gateway.customer("0")
        fields %= {b"rich": rich.key.encode(), b"poor": poor.key.encode()}
        line = {"404": b"POST /nowhere", "405": b"DELETE /api/removebg"}.get(name, b"POST /api/removebg")
        length = 5000 if name == "413" else 500
        kind = b"" if b"Content-Type" in fields else b"Content-Type: image/png\r\n"

        async with raw.connect(gateway.url) as client:
            await client.send(
                b"%b HTTP/1.1\r\nHost: x\r\n%b%bExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
                % (line, fields, kind, length)
            )
            reply = await client.reply()

        assert (reply.status, reply.interim) == (status, [])
        assert reply.value("Connection") == "close", "the caller may send the body now, or never"
        assert upstream.seen == []
        assert (await rich.settled())["available"] == "100"


async def test_a_body_is_invited_when_the_worker_is_there_to_take_it(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    upstream.plan("*", answers.digest())

    async with raw.connect(gateway.url) as client:
        await client.send(
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-API-Key: {customer.key}\r\n"
            "Expect: 100-continue\r\nContent-Length: 7\r\n\r\n".encode()
        )
        interim = await client.head()
        await client.send(b"picture")
        reply = await client.reply()

    assert interim.status == 100
    assert reply.status == 200
    assert upstream.seen[0].body == b"picture"
    assert upstream.seen[0].value("Expect") is None


async def test_a_body_that_breaks_after_its_head_is_400_at_once_and_costs_nothing(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    upstream.plan("*", answers.digest())

    async with raw.connect(gateway.url) as client:
        await client.send(
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-API-Key: {customer.key}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n".encode()
        )
        await upstream.until(lambda: bool(upstream.seen) and upstream.seen[0].upload.count == 4)
        await client.send(b"zz\r\nbody\r\n")
        reply = await client.reply()
        closed = await client.closed()

    assert (reply.status, reply.json()["code"], closed) == (400, "bad-request", True)
    assert (await customer.settled())["available"] == "100"
    assert not upstream.seen[0].complete


async def test_a_chunked_body_beyond_the_cap_is_413_and_costs_nothing(start: Start, upstream: Upstream) -> None:
    upstream.plan("*", answers.digest())
    route = '[[routes]]\nuse = "proxy"\npath = "/api/x"\nupstream = "worker"\nprice = "1"\nbody_bytes_max = 1000'
    async with start(configuration(upstream_table(upstream.url), routes=route)) as gateway:
        customer = await gateway.customer()

        async with raw.connect(gateway.url) as client:
            chunk = b"200\r\n" + b"x" * 512 + b"\r\n"
            reply = await client.ask(
                f"POST /api/x HTTP/1.1\r\nHost: x\r\nX-API-Key: {customer.key}\r\n"
                "Transfer-Encoding: chunked\r\n\r\n".encode()
                + chunk * 4
                + b"0\r\n\r\n"
            )

        assert (reply.status, reply.json()["code"]) == (413, "body-too-large")
        assert (await customer.settled())["available"] == "100"
        await upstream.until(lambda: all(seen.broken for seen in upstream.seen))


@pytest.mark.parametrize(
    ("sent", "what"),
    [
        (b"", "idle_seconds"),
        (b"POST /api/rem", "head_seconds"),
        (b"POST /free/x HTTP/1.1\r\nHost: x\r\n", "head_seconds"),
    ],
)
async def test_a_head_that_does_not_end_is_cut(start: Start, upstream: Upstream, sent: bytes, what: str) -> None:
    async with start(configuration(upstream_table(upstream.url), server=f"{what} = 0.3")) as gateway:
        async with raw.connect(gateway.url) as client:
            await client.send(sent)
            rest = await client.rest()

    assert rest == b"" if not sent else rest.startswith(b"HTTP/1.1 408 ")


async def test_a_head_that_does_not_end_on_a_used_connection_is_cut(start: Start, upstream: Upstream) -> None:
    async with start(configuration(upstream_table(upstream.url), server="head_seconds = 0.3")) as gateway:
        async with raw.connect(gateway.url) as client:
            first = await client.ask(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            await client.send(b"GET /health HTTP/1.1\r\nHo")
            rest = await client.rest()

    assert first.status == 200
    assert rest.startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_makes_no_progress_is_cut_and_costs_nothing(start: Start, upstream: Upstream) -> None:
    upstream.plan("*", answers.digest())
    async with start(configuration(upstream_table(upstream.url), server="body_seconds = 0.3")) as gateway:
        customer = await gateway.customer()

        async with raw.connect(gateway.url) as client:
            await client.send(
                f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-API-Key: {customer.key}\r\nContent-Length: 9\r\n\r\nhalf".encode()
            )
            reply = await client.reply()

        assert (reply.status, reply.json()["code"]) == (408, "request-timeout")
        assert (await customer.settled())["available"] == "100"


async def test_a_body_that_drips_is_cut_although_each_byte_comes_in_time(start: Start, upstream: Upstream) -> None:
    upstream.plan("*", answers.digest())
    async with start(configuration(upstream_table(upstream.url), server="body_seconds = 0.5")) as gateway:
        async with raw.connect(gateway.url) as client:
            await client.send(b"POST /free/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
            dripping = asyncio.create_task(
                client.send_slowly(b"x" * 1000, piece_bytes=1, gap=lambda: asyncio.sleep(0.05))
            )
            reply = await client.reply()
            dripping.cancel()

    assert reply.status == 408


async def test_a_caller_that_does_not_read_is_cut_and_charged_for_the_work(start: Start, upstream: Upstream) -> None:
    upstream.plan("*", answers.answer(200, b"x" * 20_000_000))
    async with start(configuration(upstream_table(upstream.url), server="write_seconds = 0.5")) as gateway:
        customer = await gateway.customer()

        async with raw.connect(gateway.url, receive_buffer_bytes=4096) as client:
            await client.send(
                f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-API-Key: {customer.key}\r\nContent-Length: 1\r\n\r\nx".encode()
            )
            await upstream.request()
            balances = await customer.settled()

        assert balances["spent"] == "1"


async def test_a_free_call_whose_caller_left_ends_at_the_worker(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plan("*", faults.unanswered)

    async with raw.connect(gateway.url) as client:
        await client.send(b"GET /free/x HTTP/1.1\r\nHost: x\r\n\r\n")
        await upstream.request()
        client.reset()
        await upstream.until(lambda: upstream.seen[0].hung_up)


async def test_the_total_time_bounds_a_worker_that_takes_a_body_slowly(start: Start, upstream: Upstream) -> None:
    async def slow(exchange: Exchange) -> None:
        async for _ in exchange.body:
            await asyncio.sleep(0.1)

    upstream.plan("*", slow)
    table = upstream_table(upstream.url, settings="total_seconds = 1\nfirst_byte_seconds = 0.9")
    async with start(configuration(table)) as gateway:
        async with gateway.session.post("/free/x", data=io.BytesIO(b"x" * 50_000_000)) as answer:
            assert answer.status == 504


async def test_an_empty_line_between_two_requests_is_no_head(start: Start, upstream: Upstream) -> None:
    async with start(configuration(upstream_table(upstream.url), server="head_seconds = 0.2")) as gateway:
        async with raw.connect(gateway.url) as client:
            await client.ask(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            await client.send(b"\r\n")
            await asyncio.sleep(0.5)
            second = await client.ask(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")

    assert second.status == 200


async def test_a_caller_that_reads_slowly_but_steadily_is_not_cut(start: Start, upstream: Upstream) -> None:
    total = 3_000_000
    upstream.plan("*", answers.answer(200, b"x" * total))
    async with start(configuration(upstream_table(upstream.url), server="write_seconds = 0.5")) as gateway:
        async with raw.connect(gateway.url, receive_buffer_bytes=16_384) as client:
            await client.send(b"GET /free/x HTTP/1.1\r\nHost: x\r\n\r\n")
            await client.head()
            received = 0
            while received < total:
                received += len(await client.read_some(100_000))
                await asyncio.sleep(0.05)

    assert received == total


async def test_what_is_added_to_unread_output_gives_its_reader_no_more_time(start: Start, upstream: Upstream) -> None:
    """Of two callers who do not read, the one who came first is cut first, also if more was sent to it meanwhile."""
    tick = asyncio.Event()
    upstream.plan("/open/pieces", streams.drip([b"x" * 20_000] * 100, tick))
    upstream.plan("/open/whole", streams.endless())
    async with start(configuration(upstream_table(upstream.url), server="write_seconds = 2")) as gateway:
        async with (
            raw.connect(gateway.url, receive_buffer_bytes=4096) as one,
            raw.connect(gateway.url, receive_buffer_bytes=4096) as other,
        ):
            await one.send(b"GET /free/pieces HTTP/1.1\r\nHost: x\r\n\r\n")
            first = await upstream.request(1)
            # More than the kernel keeps, but so little that the gateway does not wait for its reader before the end.
            async with within("the worker to send"):
                for count in range(2, 14):
                    tick.set()
                    while first.download.count < count * 20_000:
                        await asyncio.sleep(0.005)
            await other.send(b"GET /free/whole HTTP/1.1\r\nHost: x\r\n\r\n")
            second = await upstream.request(2)
            await upstream.until(lambda: first.hung_up or second.hung_up)

            assert (first.hung_up, second.hung_up) == (True, False)


async def test_the_time_of_a_slow_caller_does_not_count_for_the_worker_after_its_head_either(
    start: Start, upstream: Upstream
) -> None:
    upstream.plan("*", streams.echo(chunked=True))
    table = upstream_table(upstream.url, settings="idle_seconds = 0.3\ntotal_seconds = 1")
    async with start(configuration(table)) as gateway:
        async with raw.connect(gateway.url) as client:
            await client.send(b"POST /free/x HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n")
            for _ in range(4):
                await client.send(b"12345")
                await asyncio.sleep(0.5)
            reply = await client.reply()

    assert (reply.status, reply.body) == (200, b"12345" * 4)


async def test_a_flood_of_malformed_requests_is_one_line_in_the_log(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        async with raw.connect(gateway.url) as client:
            await client.ask(b"GARBAGE\r\n\r\n")

    lines = [record for record in caplog.records if record.name == "nijika.malformed"]
    assert 1 <= len(lines) <= 5
    assert not any(record.exc_info for record in caplog.records)
