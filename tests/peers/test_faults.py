"""The upstream breaks in the way that was planned, and notices how its callers break."""

import aiohttp
import pytest

from tests.peers import answers, dead_ends, faults, raw, streams
from tests.peers.exchange import Behaviour
from tests.peers.upstream import Upstream

POST = b"POST /x HTTP/1.1\r\nHost: upstream\r\nContent-Length: 7\r\n\r\npicture"
HEAD_ONLY = POST.removesuffix(b"picture")
MANY_BYTES = 200 * 1024 * 1024


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
async def test_a_cut_body_looks_cut(upstream: Upstream, client: raw.Client, behaviour: Behaviour, arrives: int) -> None:
    upstream.plan("/x", behaviour)

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
    upstream: Upstream, client: raw.Client, behaviour: Behaviour, answer: bytes
) -> None:
    upstream.plan("/x", behaviour)

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
