"""The peers do what they say: otherwise every test that leans on them proves nothing."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.peers import answers, dead_ends, faults, raw, redirects, streams
from tests.peers.malformed import MALFORMED
from tests.peers.paths import SPELLINGS
from tests.peers.upstream import Upstream

POST = b"POST /x HTTP/1.1\r\nHost: upstream\r\nContent-Length: 7\r\n\r\npicture"
HEAD_ONLY = POST.removesuffix(b"picture")
MANY_BYTES = 200 * 1024 * 1024


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream.start() as running:
        yield running


@pytest.fixture
async def client(upstream: Upstream) -> AsyncIterator[raw.Client]:
    async with raw.connect(upstream.url) as connected:
        yield connected


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as opened:
        yield opened


async def test_a_request_is_recorded_as_it_came(upstream: Upstream, client: raw.Client) -> None:
    upstream.plan("/x", answers.answer(200, b"cutout"))

    reply = await client.ask(POST.replace(b"/x", b"/x?a=%41").replace(b"Host", b"hOST"))

    seen = upstream.seen[0]
    assert (reply.status, reply.body, reply.ending) == (200, b"cutout", "length")
    assert (seen.method, seen.target, seen.headers[0]) == ("POST", b"/x?a=%41", (b"hOST", b"upstream"))
    assert (seen.body, seen.upload.sha256) == (b"picture", hashlib.sha256(b"picture").hexdigest())
    assert (seen.complete, seen.broken, seen.finished, seen.hung_up) == (True, False, True, False)
    assert seen.download.kept == b"cutout"


async def test_a_connection_carries_many_requests_in_the_planned_order(upstream: Upstream, client: raw.Client) -> None:
    upstream.plan("/x", answers.starting("3"), answers.starting(), answers.answer(200, b"awake"))

    replies = [await client.ask(POST) for _ in range(4)]

    assert [reply.status for reply in replies] == [503, 503, 200, 200]
    assert replies[0].value("Retry-After") == "3"
    assert (upstream.connections, len(upstream.seen)) == (1, 4)


async def test_what_is_no_request_is_kept_as_a_fragment(upstream: Upstream) -> None:
    async with raw.connect(upstream.url) as client:
        await client.send(b"POST /x HT")
        client.half_close()
        assert await client.closed()

    assert (upstream.seen, upstream.fragments) == ([], [b"POST /x HT"])


async def test_a_mistake_in_a_behaviour_fails_the_test() -> None:
    async def mistaken(_: object) -> None:
        raise LookupError("a bug in a test")

    async def scene() -> None:
        async with Upstream.start() as upstream, raw.connect(upstream.url) as client:
            upstream.plan("*", mistaken)
            await client.send(POST)
            assert await client.closed()

    with pytest.raises(ExceptionGroup, match="behaviours"):
        await scene()


async def test_an_echo_begins_before_the_upload_ends(upstream: Upstream, client: raw.Client) -> None:
    upstream.plan("/x", streams.echo())

    await client.send(HEAD_ONLY + b"pic")
    begun = await client.head()
    assert await client.read_some(3) == b"pic"
    await client.send(b"ture")

    assert (begun.status, begun.value("Content-Length")) == (200, "7")
    assert await client.read_some(4) == b"ture"


async def test_chunks_are_decoded_both_ways(upstream: Upstream, client: raw.Client) -> None:
    upstream.plan("/x", streams.echo())

    head = b"POST /x HTTP/1.1\r\nHost: upstream\r\nTransfer-Encoding: chunked\r\n\r\n"
    await client.send_slowly(head + b"3;note=1\r\npic\r\n4\r\nture\r\n0\r\nX-Trailer: 1\r\n\r\n", piece_bytes=5)
    reply = await client.reply()

    assert (reply.body, reply.ending) == (b"picture", "chunked")
    assert upstream.seen[0].complete


@pytest.mark.parametrize("tail", [b"zz\r\n", b"-1\r\n", b"3\r\npictures"])
async def test_a_broken_chunk_marks_the_upload_broken(upstream: Upstream, client: raw.Client, tail: bytes) -> None:
    upstream.plan("/x", answers.digest())

    await client.send(b"POST /x HTTP/1.1\r\nHost: upstream\r\nTransfer-Encoding: chunked\r\n\r\n" + tail)

    assert await client.closed()
    assert (upstream.seen[0].broken, upstream.seen[0].complete) == (True, False)


@pytest.mark.parametrize("leave", ["reset", "close", "half_close"])
async def test_a_caller_who_leaves_is_noticed(upstream: Upstream, client: raw.Client, leave: str) -> None:
    upstream.plan("/x", answers.digest(), faults.unanswered)
    await client.send(HEAD_ONLY + b"pic")
    seen = await upstream.request()
    await upstream.until(lambda: seen.upload.count == 3)

    getattr(client, leave)()

    await upstream.until(lambda: seen.broken and seen.hung_up)


async def test_a_caller_who_leaves_a_silent_upstream_is_noticed(upstream: Upstream, client: raw.Client) -> None:
    upstream.plan("/x", faults.unanswered)
    await client.send(POST)
    seen = await upstream.request()
    await upstream.until(lambda: seen.complete)

    client.reset()

    await upstream.until(lambda: seen.hung_up)
    assert not seen.broken


CUT = [
    (faults.reset_at(100), 100),
    (faults.reset_at(0), 0),
    (faults.reset_at(100, chunked=True), 100),
    (faults.short(b"half"), 4),
    (faults.unfinished(b"almost"), 6),
    (faults.torn(b"half"), 4),
]


@pytest.mark.parametrize(("behaviour", "arrives"), CUT)
async def test_a_cut_body_looks_cut(upstream: Upstream, client: raw.Client, behaviour: object, arrives: int) -> None:
    upstream.plan("/x", behaviour)  # type: ignore[arg-type]  # parametrize knows no types

    reply = await client.ask(POST)

    assert (reply.status, len(reply.body), reply.ending) == (200, arrives, "cut")
    assert not upstream.seen[0].finished


@pytest.mark.parametrize(
    ("behaviour", "answer"),
    [
        (faults.long(b"whole", b"and more", close=True), b"wholeand more"),
        (faults.twice(b"mine", b"yours"), b"yours"),
        (faults.long(b"whole", b"and more", apart=True), b"wholeand more"),
        (faults.bad_chunk(b"fine", b"zz\r\n"), b"4\r\nfine\r\nzz\r\njunk"),
        (faults.garbage(b"SSH-2.0\r\n\r\n"), b"SSH-2.0\r\n\r\n"),
        (faults.huge_header(100_000), b"h" * 100_000),
        (faults.two_lengths(4, 8), b"Content-Length: 8\r\n\r\n12345678"),
        (faults.length_and_chunks(), b"Transfer-Encoding: chunked\r\n\r\n"),
        (faults.body_where_none_belongs(204), b"stowaway"),
        (answers.until_eof(b"to the end"), b"\r\n\r\nto the end"),
        (faults.closed, b""),
    ],
)
async def test_an_odd_answer_goes_out_byte_for_byte(
    upstream: Upstream, client: raw.Client, behaviour: object, answer: bytes
) -> None:
    upstream.plan("/x", behaviour)  # type: ignore[arg-type]  # parametrize knows no types

    await client.send(POST)
    client.half_close()

    assert answer in await client.rest()


@pytest.mark.parametrize("upload_bytes", [None, 3])
async def test_a_reset_comes_where_it_was_planned(
    upstream: Upstream, client: raw.Client, upload_bytes: int | None
) -> None:
    upstream.plan("/x", faults.reset(upload_bytes=upload_bytes))

    await client.send(POST if upload_bytes is None else HEAD_ONLY + b"pic")

    with pytest.raises(ConnectionResetError):
        await client.read_some()


async def test_an_upstream_that_does_not_read_stops_the_upload(upstream: Upstream, client: raw.Client) -> None:
    upstream.plan("/x", faults.unread)
    await client.send(POST.partition(b"Content")[0] + b"Content-Length: %d\r\n\r\n" % MANY_BYTES)

    taken = await client.push(streams.pieces(MANY_BYTES))

    assert taken < MANY_BYTES
    assert upstream.seen[0].upload.count == 0


async def test_a_client_that_does_not_read_stops_the_download(upstream: Upstream) -> None:
    upstream.plan("/x", streams.generated(MANY_BYTES))
    async with raw.connect(upstream.url, receive_buffer_bytes=4096) as client:
        await client.send(POST)

        assert (await client.head()).value("Content-Length") == str(MANY_BYTES)
        assert upstream.seen[0].download.count < MANY_BYTES

    await upstream.until(lambda: upstream.seen[0].hung_up)


async def test_many_bytes_flow_up_and_down(upstream: Upstream, session: aiohttp.ClientSession) -> None:
    async def upload() -> AsyncIterator[bytes]:
        for piece in streams.pieces(MANY_BYTES):
            yield piece

    upstream.plan("/up", answers.digest())
    upstream.plan("/down", streams.generated(MANY_BYTES, chunked=True))
    arrived = hashlib.sha256()

    async with session.post(f"{upstream.url}/up", data=upload()) as up:
        came = await up.json()
    async with session.get(f"{upstream.url}/down") as down:
        async for piece in down.content.iter_any():
            arrived.update(piece)

    expected = streams.generated_sha256(MANY_BYTES)
    assert came == {"bytes": MANY_BYTES, "sha256": expected}
    assert arrived.hexdigest() == upstream.seen[1].download.sha256 == expected
    assert upstream.seen[0].upload.kept is None


async def test_a_drip_waits_for_its_tick(upstream: Upstream, client: raw.Client) -> None:
    tick = asyncio.Event()
    upstream.plan("/x", streams.drip([b"one", b"two"], tick, chunked=False))

    await client.send(POST)
    await client.head()
    assert await client.read_some() == b"one"
    assert not upstream.seen[0].finished
    tick.set()

    assert await client.read_some() == b"two"


async def test_events_come_when_the_test_puts_them(upstream: Upstream, client: raw.Client) -> None:
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()
    upstream.plan("/x", streams.events(queue))

    await client.send(POST)
    begun = await client.head()
    queue.put_nowait(b"40 %")
    first = await client.read_some()
    queue.put_nowait(None)

    assert begun.value("Content-Type") == "text/event-stream"
    assert b"data: 40 %\n\n" in first
    assert await client.read_some() == b"0\r\n\r\n"


async def test_an_early_answer_keeps_the_connection_in_frame(upstream: Upstream, client: raw.Client) -> None:
    upstream.plan("/x", answers.early(413, b"too big"), answers.answer(200, b"fine"))

    await client.send(HEAD_ONLY)
    refused = await client.reply()
    await client.send(b"picture")
    served = await client.ask(POST)

    assert (refused.status, refused.body, served.body) == (413, b"too big", b"fine")


@pytest.mark.parametrize("ending", ["close", "linger"])
async def test_an_early_answer_may_end_the_connection(upstream: Upstream, client: raw.Client, ending: str) -> None:
    upstream.plan("/x", answers.early(413, b"too big", ending=ending))

    await client.send(HEAD_ONLY)
    reply = await client.reply()

    assert (reply.status, reply.value("Connection")) == (413, "close")
    assert await client.closed()


async def test_interim_answers_come_before_the_final_one(upstream: Upstream, client: raw.Client) -> None:
    upstream.plan("/x", answers.interim(102, 103, then=answers.answer(200, b"done")))

    reply = await client.ask(POST)

    assert (reply.interim, reply.status, reply.body) == ([102, 103], 200, b"done")


async def test_an_expected_100_is_said_when_the_body_is_read(upstream: Upstream, client: raw.Client) -> None:
    upstream.plan("/x", answers.digest())

    await client.send(HEAD_ONLY.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
    invited = await client.head()
    await client.send(b"picture")

    assert (invited.status, (await client.reply()).json()["bytes"]) == (100, 7)


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_a_body_is_left_out_where_none_belongs(upstream: Upstream, client: raw.Client, method: str) -> None:
    upstream.plan("/x", answers.answer(200, b"picture"), answers.answer(204, b"picture"))
    request = f"{method} /x HTTP/1.1\r\nHost: upstream\r\n\r\n".encode()

    first, second = await client.ask(request), await client.ask(request)

    assert first.value("Content-Length") == "7"
    assert (first.ending, second.status, second.ending) == ("none" if method == "HEAD" else "length", 204, "none")


async def test_a_range_is_cut_out(upstream: Upstream, client: raw.Client) -> None:
    upstream.plan("/x", answers.ranged(b"0123456789"))

    reply = await client.ask(POST.replace(b"Host", b"Range: bytes=2-4\r\nHost"))

    assert (reply.status, reply.body, reply.value("Content-Range")) == (206, b"234", "bytes 2-4/10")


@pytest.mark.parametrize("absolute", [True, False])
async def test_a_chain_of_redirects_ends_in_the_answer(
    upstream: Upstream, session: aiohttp.ClientSession, *, absolute: bool
) -> None:
    upstream.plan("/x", redirects.chain(3, answers.answer(200, b"done"), body=b"see there", absolute=absolute))

    async with session.post(f"{upstream.url}/x", data=b"picture") as response:
        assert await response.read() == b"done"

    assert [(seen.method, seen.target) for seen in upstream.seen] == [
        ("POST", b"/x"),
        ("GET", b"/x?hop=1"),
        ("GET", b"/x?hop=2"),
        ("GET", b"/x?hop=3"),
    ]


async def test_a_loop_of_redirects_has_no_end(upstream: Upstream, session: aiohttp.ClientSession) -> None:
    upstream.plan("/x", redirects.loop())

    with pytest.raises(aiohttp.TooManyRedirects):
        await session.get(f"{upstream.url}/x", max_redirects=30)

    assert len(upstream.seen) == 30


async def test_a_redirect_leads_away_or_nowhere(upstream: Upstream, client: raw.Client) -> None:
    upstream.plan("/x", redirects.away("http://evil.test/", 307), redirects.away(None, 302))

    away, nowhere = await client.ask(POST), await client.ask(POST)

    assert (away.status, away.value("Location")) == (307, "http://evil.test/")
    assert (nowhere.status, nowhere.value("Location")) == (302, None)


@pytest.mark.parametrize("with_reset", [True, False])
async def test_a_stale_connection_closes_on_the_next_request(
    upstream: Upstream, client: raw.Client, *, with_reset: bool
) -> None:
    upstream.plan("/x", faults.stale(answers.answer(200, b"fine"), with_reset=with_reset))

    assert (await client.ask(POST)).body == b"fine"
    await client.send(POST)

    assert await client.closed()
    assert len(upstream.seen) == 1


async def test_the_dead_ends_are_dead(session: aiohttp.ClientSession) -> None:
    async def fail(url: str, *, connect: bool = True) -> type[BaseException] | None:
        timeout = aiohttp.ClientTimeout(sock_connect=0.5 if connect else None, sock_read=0.5)
        with pytest.raises(aiohttp.ClientError) as failure:
            await session.post(url, data=b"picture", timeout=timeout)
        return failure.type

    with dead_ends.closed_port() as url:
        assert await fail(url) is aiohttp.ClientConnectorError
    with dead_ends.full_backlog() as url:
        assert await fail(url) is aiohttp.ConnectionTimeoutError
    with dead_ends.never_accepting() as url:
        assert await fail(url, connect=False) is aiohttp.SocketTimeoutError
    async with dead_ends.hanging_up() as url:
        assert issubclass(await fail(url) or object, aiohttp.ClientConnectionError)


async def test_the_upstream_stops_at_once_with_connections_open() -> None:
    async with Upstream.start() as upstream, raw.connect(upstream.url) as idle, raw.connect(upstream.url) as busy:
        upstream.plan("/x", streams.endless())
        await busy.send(POST)
        await idle.send(b"POST")
        await upstream.request()


def test_every_case_has_a_name_of_its_own() -> None:
    for cases in (MALFORMED, SPELLINGS):
        names = [case.name for case in cases]
        assert len(names) == len(set(names))
    assert len(MALFORMED) >= 60
    assert len(SPELLINGS) >= 30


def test_a_case_takes_the_gateways_host_and_key() -> None:
    gateway = {"host": b"127.0.0.1:8080", "key": b"nj_live_real"}
    for request in [case.request(**gateway) for case in MALFORMED] + [case.request(**gateway) for case in SPELLINGS]:
        assert b"@KEY@" not in request
        assert b"gateway.test" not in request
