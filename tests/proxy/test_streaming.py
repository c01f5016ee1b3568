"""Bodies flow both ways as they come, unchanged, and are never gathered."""

import asyncio
import gzip
import hashlib
import resource
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nijika.errors import UpstreamUnavailable
from nijika.proxy.upstream import Pace
from nijika.proxy.upstream import Upstream as WorkerBehind
from tests.conftest import Start
from tests.gateway import Customer, Gateway, configuration, upstream_table
from tests.peers import answers, faults, raw, redirects, streams
from tests.peers.upstream import Upstream

PATH = "/api/removebg"
LARGE = 200 * 1024 * 1024


def get(path: str, *fields: str, method: str = "GET", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: x", *fields, "", ""]).encode()


async def test_the_first_byte_goes_out_before_the_last_byte_has_come_in(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plan("*", streams.echo())

    async with raw.connect(gateway.url) as client:
        await client.send(b"POST /free/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nfirst")
        head = await client.head()
        early = await client.read_some()
        await client.send(b"-last")
        late = await client.read_some()

    assert head.status == 200
    assert (early, late) == (b"first", b"-last")


async def test_events_reach_the_caller_one_by_one(gateway: Gateway, upstream: Upstream) -> None:
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()
    upstream.plan("*", streams.events(queue))

    async with raw.connect(gateway.url) as client:
        await client.send(get("/free/events"))
        head = await client.head()
        for number in range(3):
            await queue.put(b"%d" % number)
            assert b"data: %d\n\n" % number in await client.read_some()
        await queue.put(None)
        rest = await client.read_some()

    assert head.value("Content-Type") == "text/event-stream"
    assert rest.endswith(b"0\r\n\r\n")


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


class Sampled:
    """How far the memory of this process grows during a block."""

    def __init__(self) -> None:
        self.growth = 0

    async def __aenter__(self) -> "Sampled":
        self._start = _resident_bytes()
        self._task = asyncio.create_task(self._sample())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _sample(self) -> None:
        while True:
            self.growth = max(self.growth, _resident_bytes() - self._start)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("chunked", [False, True])
async def test_200_mib_down_keep_every_byte_and_little_memory(
    gateway: Gateway, upstream: Upstream, chunked: bool
) -> None:
    upstream.plan("*", streams.generated(LARGE, chunked=chunked))
    digest, count = hashlib.sha256(), 0

    async with Sampled() as memory, gateway.session.get("/free/large") as answer:
        async for piece in answer.content.iter_any():
            digest.update(piece)
            count += len(piece)

    assert count == LARGE
    assert digest.hexdigest() == streams.generated_sha256(LARGE)
    assert memory.growth < 24 * 1024 * 1024


@pytest.mark.parametrize("chunked", [False, True])
async def test_200_mib_up_keep_every_byte_and_little_memory(
    gateway: Gateway, upstream: Upstream, chunked: bool
) -> None:
    upstream.plan("*", answers.digest())
    fields = {} if chunked else {"Content-Length": str(LARGE)}

    async def body() -> AsyncIterator[bytes]:
        for piece in streams.pieces(LARGE):
            yield piece

    async with Sampled() as memory, gateway.session.post("/free/large", data=body(), headers=fields) as answer:
        await answer.read()

    seen = upstream.seen[0]
    assert answer.status == 200
    assert (seen.upload.count, seen.upload.sha256) == (LARGE, streams.generated_sha256(LARGE))
    assert (seen.value("Content-Length") is None) == chunked
    assert memory.growth < 24 * 1024 * 1024


async def test_a_caller_that_reads_slowly_slows_the_worker_down(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plan("*", streams.endless())

    async with raw.connect(gateway.url, receive_buffer_bytes=65536) as client:
        await client.send(get("/free/x"))
        await client.head()
        await asyncio.sleep(0.5)
        taken = upstream.seen[0].download.count
        await asyncio.sleep(0.5)
        later = upstream.seen[0].download.count
        client.reset()

    assert later == taken
    await upstream.until(lambda: upstream.seen[0].hung_up)


async def test_for_a_caller_that_does_not_read_the_kernel_keeps_little(gateway: Gateway, upstream: Upstream) -> None:
    """It would take megabytes for each, and a thousand of them would take what all connections of a machine have."""
    upstream.plan("*", streams.endless())
    async with raw.connect(gateway.url, receive_buffer_bytes=4096) as client:
        await client.send(get("/free/endless"))
        await client.head()
        taken = -1
        while taken < (taken := upstream.seen[0].download.count):
            await asyncio.sleep(0.3)

        assert 0 < waiting(gateway) < 1_000_000


def waiting(gateway: Gateway) -> int:
    """Bytes that the kernel keeps for the gateway's callers."""
    port = urlsplit(gateway.url).port
    ends = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(end[4].split(":")[0], 16) for end in ends if int(end[1].split(":")[1], 16) == port)


async def test_a_worker_that_reads_slowly_slows_the_caller_down(start: Start, upstream: Upstream) -> None:
    upstream.plan("*", faults.unread)
    async with start(configuration(upstream_table(upstream.url, settings="first_byte_seconds = 5"))) as gateway:
        async with raw.connect(gateway.url) as client:
            await client.send(b"POST /free/x HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000\r\n\r\n")
            taken = await client.push(streams.pieces(LARGE))
            client.reset()

    assert taken < 32 * 1024 * 1024


async def test_gzip_passes_untouched_both_ways(gateway: Gateway, upstream: Upstream) -> None:
    packed = gzip.compress(b"hello" * 100, mtime=0)
    upstream.plan("/open/up", answers.digest())
    upstream.plan("/open/down", answers.gzip(b"hello" * 100))

    async with gateway.session.post("/free/up", data=packed, headers={"Content-Encoding": "gzip"}) as answer:
        await answer.read()
    async with gateway.session.get("/free/down", headers={"Accept-Encoding": "gzip"}) as down:
        body = await down.read()

    assert upstream.seen[0].body == packed
    assert upstream.seen[0].value("Content-Encoding") == "gzip"
    assert (body, down.headers["Content-Encoding"]) == (packed, "gzip")


async def test_a_content_encoding_that_lies_harms_nobody(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plan("*", answers.digest())

    async with gateway.session.post("/free/up", data=b"plain", headers={"Content-Encoding": "gzip"}) as answer:
        await answer.read()

    assert (answer.status, upstream.seen[0].body) == (200, b"plain")


async def test_a_head_request_keeps_the_length_and_has_no_body(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plan("*", faults.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", finished=True))

    async with raw.connect(gateway.url) as client:
        first = await client.ask(get("/free/x", method="HEAD"))
        upstream.plan("*", answers.answer(200, b"next"))
        second = await client.ask(get("/free/x"))

    assert upstream.seen[0].method == "HEAD"
    assert (first.value("Content-Length"), first.body) == ("1234", b"")
    assert second.body == b"next", "the connection is still in step"


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_that_has_no_body_stays_without(gateway: Gateway, upstream: Upstream, status: int) -> None:
    upstream.plan("*", answers.answer(status), answers.answer(200, b"next"))

    async with raw.connect(gateway.url) as client:
        first = await client.ask(get("/free/x"))
        second = await client.ask(get("/free/x"))

    assert (first.status, first.body, first.values("Transfer-Encoding")) == (status, b"", [])
    assert second.body == b"next"


async def test_nothing_has_changed_is_no_answer_to_a_post(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plan("*", answers.answer(304))

    async with gateway.session.post("/free/x", data=b"x") as answer:
        problem = await answer.json(content_type=None)

    assert (answer.status, problem["code"]) == (502, "upstream-failed")


async def test_bytes_that_nobody_asked_for_reach_nobody(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plan("*", faults.twice(apart=True), answers.answer(200, b"right"))

    async with raw.connect(gateway.url) as client:
        first = await client.ask(get("/free/x"))
        await asyncio.sleep(0.1)  # the stray bytes cross the loopback
        second = await client.ask(get("/free/x"))

    assert (first.body, second.body) == (b"mine", b"right")


async def test_a_body_until_the_end_of_the_connection_arrives_whole(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plan("*", answers.until_eof(b"all of it"))

    async with raw.connect(gateway.url) as client:
        modern = await client.ask(get("/free/x"))
    async with raw.connect(gateway.url) as client:
        old = await client.ask(get("/free/x", version="1.0"))

    assert (modern.body, modern.ending) == (b"all of it", "chunked")
    assert (old.body, old.ending) == (b"all of it", "eof")


async def test_a_broken_body_looks_broken_to_an_old_client_too(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plan("*", faults.reset_at(300_000, chunked=True))

    async with raw.connect(gateway.url) as client:
        reply = await client.ask(get("/free/x", version="1.0"))

    assert reply.ending == "cut"


async def test_a_range_is_passed_on(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plan("*", answers.ranged(b"0123456789"))

    async with gateway.session.get("/free/x", headers={"Range": "bytes=2-4"}) as answer:
        body = await answer.read()

    assert (answer.status, body, answer.headers["Content-Range"]) == (206, b"234", "bytes 2-4/10")


async def test_early_hints_do_not_hide_the_answer(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plan("*", answers.interim(103, 102, then=answers.answer(200, b"final")))

    async with gateway.session.get("/free/x") as answer:
        assert (answer.status, await answer.read()) == (200, b"final")


async def test_a_page_of_the_workers_cannot_act_as_the_visitor_of_ours(gateway: Gateway, upstream: Upstream) -> None:
    """A browser that opens it does so in an origin of its own, without scripts, whatever policy the worker sends."""
    headers = [("Content-Type", "text/html"), ("Content-Security-Policy", "script-src 'unsafe-inline'")]
    upstream.plan("*", answers.answer(200, b"<script>alert(1)</script>", headers))

    async with gateway.session.get("/free/page") as answer:
        await answer.read()

    assert answer.headers.getall("Content-Security-Policy") == ["sandbox"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_nothing_of_the_worker_leaks(gateway: Gateway, customer: Customer, upstream: Upstream) -> None:
    upstream.plan("*", answers.leaking(), answers.leaking(404), answers.failed(500))

    call = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-API-Key: {customer.key}\r\nContent-Length: 1\r\n\r\nx"
    async with raw.connect(gateway.url) as client:
        replies = [await client.ask(call.encode()) for _ in range(3)]

    leaks = {name for name, _ in answers.LEAKS} - {"Server", "X-Engine"}
    for reply in replies:
        assert [name for name in leaks if reply.values(name)] == []
        assert reply.values("Server") == ["nijika"]
    assert answers.SECRET not in replies[2].body


async def test_what_belongs_to_the_gateway_does_not_reach_the_worker(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    upstream.plan("*", answers.digest())
    fields = [
        f"X-API-Key: {customer.key}", "Authorization: Bearer other", "Cookie: a=b", "X-Nijika-Account: 1", "X-Nijika-Cost: 0", "X_Nijika_Account: 1", "X-Forwarded-Ssl: on", "X-Forwarded-Uri: /x",
        "Connection: x-private, close", "X-Private: 1", "Keep-Alive: 5", "TE: trailers", "Proxy-Authorization: Basic eA==",
        "Upgrade: h2c", "X-Request-ID: forged", "X-Real-IP: 9.9.9.9", "Content-Length: 1", "X-Kept: yes", "Accept: image/*",
    ]  # fmt: skip

    async with raw.connect(gateway.url) as client:
        reply = await client.ask(get(PATH, *fields, method="POST") + b"x")

    seen = upstream.seen[0]
    names = {name.decode().lower() for name, _ in seen.headers}
    assert names == {
        "host", "accept", "content-length", "x-kept", "x-request-id", "x-nijika-account",
        "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded",
    }  # fmt: skip
    assert customer.key.encode() not in b"".join(value for _, value in seen.headers)
    assert seen.value("X-Nijika-Account") == str(customer.account)
    assert seen.value("X-Request-ID") == reply.value("X-Request-ID")


async def test_a_chain_of_303_is_followed_and_stays_inside(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    upstream.plan("*", redirects.chain(20, answers.answer(200, b"result")))

    async with gateway.session.post(PATH, data=b"p", headers=customer.fields, allow_redirects=False) as answer:
        body = await answer.read()

    assert (answer.status, body) == (200, b"result")
    assert "Location" not in answer.headers
    assert [seen.method for seen in upstream.seen] == ["POST", *["GET"] * 20]
    assert (await customer.settled())["spent"] == "1"


async def test_the_least_busy_place_is_asked_and_a_dead_one_passed_over(start: Start, upstream: Upstream) -> None:
    async with Upstream.start() as second:
        gate = asyncio.Event()
        for place in (upstream, second):
            place.plan("*", streams.gated(gate, answers.answer(200, b"ok")))
        table = upstream_table("http://127.0.0.1:9", upstream.url, second.url, settings="connect_seconds = 1")
        async with start(configuration(table)) as gateway:
            calls = [asyncio.create_task(_status(gateway)) for _ in range(6)]
            await upstream.request(3)
            await second.request(3)
            gate.set()
            statuses = await asyncio.gather(*calls)

    assert statuses == [200] * 6


async def _status(gateway: Gateway) -> int:
    async with gateway.session.post("/free/x", data=b"body") as answer:
        await answer.read()
        return answer.status


async def test_calls_are_started_at_the_pace_of_the_upstream(start: Start, upstream: Upstream) -> None:
    upstream.plan("*", answers.answer(200, b"ok"))
    table = upstream_table(upstream.url, settings='max_rate = "3/d"')
    async with start(configuration(table)) as gateway:
        calls = [asyncio.create_task(_status(gateway)) for _ in range(5)]
        await upstream.request(3)
        await asyncio.sleep(0.3)
        seen = len(upstream.seen)
        for call in calls:
            call.cancel()

    assert seen == 3


async def test_waiting_for_the_pace_is_bounded_in_time_and_number() -> None:
    pace = Pace(1, 86_400, wait_seconds=0.2, waiting_max=1)
    async with WorkerBehind("worker", ["http://127.0.0.1:9"], pace=pace) as worker:
        await worker.pace()
        patient = asyncio.create_task(worker.pace())
        await asyncio.sleep(0)

        with pytest.raises(UpstreamUnavailable):
            await worker.pace()  # one waits already
        assert not patient.done()
        with pytest.raises(UpstreamUnavailable):
            await patient


async def test_a_small_body_is_sent_again_to_a_worker_that_was_starting(start: Start, upstream: Upstream) -> None:
    upstream.plan("/v1/cutout", answers.starting(), answers.answer(200, b"cut-out"))
    upstream.plan("/ready", answers.starting(), answers.answer(200, b""))
    table = upstream_table(upstream.url, settings='wake = { path = "/ready", seconds = 10 }')
    async with start(configuration(table)) as gateway:
        customer = await gateway.customer()

        async with gateway.session.post(PATH, data=b"picture", headers=customer.fields) as answer:
            body = await answer.read()

        paths = [seen.path for seen in upstream.seen]
        assert (answer.status, body) == (200, b"cut-out")
        assert paths == ["/v1/cutout", "/ready", "/ready", "/v1/cutout"]
        assert [seen.body for seen in upstream.seen if seen.path == "/v1/cutout"] == [b"picture"] * 2
        assert (await customer.settled())["spent"] == "1"


async def test_a_large_body_is_sent_only_after_the_worker_woke(start: Start, upstream: Upstream) -> None:
    upstream.plan("/v1/cutout", answers.digest())
    upstream.plan("/ready", answers.starting(), answers.answer(200, b""))
    table = upstream_table(upstream.url, settings='wake = { path = "/ready", seconds = 10 }')
    async with start(configuration(table)) as gateway:
        customer = await gateway.customer()

        async with gateway.session.post(PATH, data=b"x" * 300_000, headers=customer.fields) as answer:
            await answer.read()

        assert answer.status == 200
        assert [seen.path for seen in upstream.seen] == ["/ready", "/ready", "/v1/cutout"]


async def test_a_worker_that_does_not_wake_is_503_and_costs_nothing(start: Start, upstream: Upstream) -> None:
    upstream.plan("*", answers.starting())
    table = upstream_table(upstream.url, settings='wake = { path = "/ready", seconds = 0.3 }')
    async with start(configuration(table)) as gateway:
        customer = await gateway.customer()

        async with gateway.session.post(PATH, data=b"picture", headers=customer.fields) as answer:
            problem = await answer.json(content_type="application/problem+json")

        assert (answer.status, problem["code"]) == (503, "upstream-unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert (await customer.settled())["available"] == "100"


async def test_the_upstreams_own_fields_are_sent_with_every_request(start: Start, upstream: Upstream) -> None:
    upstream.plan("*", redirects.chain(1, answers.answer(200, b"ok")))
    table = upstream_table(upstream.url, settings='headers = { Modal-Key = "k", Modal-Secret = "s" }')
    async with start(configuration(table)) as gateway:
        async with gateway.session.post("/free/x", data=b"p", headers={"Modal-Key": "forged"}) as answer:
            await answer.read()

    assert [(seen.values("Modal-Key"), seen.value("Modal-Secret")) for seen in upstream.seen] == [(["k"], "s")] * 2


async def test_open_requests_are_finished_when_the_gateway_stops(
    start: Start, upstream: Upstream, tmp_path: Path
) -> None:
    gate = asyncio.Event()
    upstream.plan("*", streams.gated(gate, answers.answer(200, b"cut-out")))
    async with start(configuration(upstream_table(upstream.url))) as gateway:
        url = gateway.url
        customer = await gateway.customer()
        client = raw.connect(url)
        connected = await client.__aenter__()
        await connected.send(
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-API-Key: {customer.key}\r\nContent-Length: 1\r\n\r\nx".encode()
        )
        await upstream.request()
        asyncio.get_running_loop().call_later(0.3, gate.set)

    reply = await connected.reply()
    await client.__aexit__(None, None, None)
    assert (reply.status, reply.body) == (200, b"cut-out")
