"""The upstream that behaves: whole answers, streams, redirects."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.peers import answers, raw, redirects, streams
from tests.peers.upstream import Upstream

POST = b"POST /x HTTP/1.1\r\nHost: upstream\r\nContent-Length: 7\r\n\r\npicture"
HEAD_ONLY = POST.removesuffix(b"picture")
MANY_BYTES = 200 * 1024 * 1024


async def test_an_echo_begins_before_the_upload_ends(upstream: Upstream, client: raw.Client) -> None:
    upstream.plan("/x", streams.echo())

    await client.send(HEAD_ONLY + b"pic")
    begun = await client.head()
    assert await client.read(3) == b"pic"
    await client.send(b"ture")

    assert (begun.status, begun.value("Content-Length")) == (200, "7")
    assert await client.read(4) == b"ture"


async def test_chunks_are_decoded_both_ways(upstream: Upstream, client: raw.Client) -> None:
    upstream.plan("/x", streams.echo())

    head = b"POST /x HTTP/1.1\r\nHost: upstream\r\nTransfer-Encoding: chunked\r\n\r\n"
    await client.send_slowly(head + b"3;note=1\r\npic\r\n4\r\nture\r\n0\r\nX-Trailer: 1\r\n\r\n", piece_bytes=5)
    reply = await client.reply()

    assert (reply.body, reply.ending) == (b"picture", "chunked")
    assert upstream.seen[0].complete


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
    assert await client.read(3) == b"one"
    assert not upstream.seen[0].finished
    tick.set()

    assert await client.read(3) == b"two"


async def test_events_come_when_the_test_puts_them(upstream: Upstream, client: raw.Client) -> None:
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()
    upstream.plan("/x", streams.events(queue))

    await client.send(POST)
    begun = await client.head()
    queue.put_nowait(b"40 %")
    first = await client.read(len(b"c\r\ndata: 40 %\n\n\r\n"))
    queue.put_nowait(None)

    assert begun.value("Content-Type") == "text/event-stream"
    assert b"data: 40 %\n\n" in first
    assert await client.read(5) == b"0\r\n\r\n"


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
