"""Bodies flow through each front in both directions: nobody on the way waits for more than there is."""

import asyncio
import hashlib
import io
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.fronts.callers import PROTOCOLS, caller
from tests.fronts.front import Site
from tests.gateway import Customer
from tests.peers import answers, streams
from tests.peers.patience import within
from tests.peers.upstream import Upstream

LARGE = b"picture " * 1_000_000
PATH = "/api/removebg"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_event_arrives_before_the_next_one_is_sent(front: Site, upstream: Upstream, protocol: str) -> None:
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()
    upstream.plan("*", streams.events(queue))
    queue.put_nowait(b"1")  # nginx sends the head in HTTP/2 with the first piece of the body only
    async with caller(front, protocol=protocol) as client, client.stream("GET", "/free/events") as answer:
        pieces = answer.aiter_raw()
        for number, following in ((b"1", b"2"), (b"2", b"3"), (b"3", None)):
            async with within("the event"):
                assert await anext(pieces) == b"data: %b\n\n" % number
            queue.put_nowait(following)
        rest = [piece async for piece in pieces if piece]

    assert (answer.http_version, rest) == (protocol, [])


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_paid_stream_arrives_while_it_goes_on_and_costs_once(
    front: Site, upstream: Upstream, customer: Customer, protocol: str
) -> None:
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()
    upstream.plan("*", streams.events(queue))
    more = asyncio.create_task(events(queue))
    async with caller(front, protocol=protocol) as client:
        async with client.stream("POST", PATH, content=b"p", headers=customer.fields) as answer:
            pieces = answer.aiter_raw()
            async with within("the first events"):
                came = await anext(pieces)
            more.cancel()
            queue.put_nowait(None)
            came += b"".join([piece async for piece in pieces])

    assert came == b"data: event\n\n" * came.count(b"event")
    assert (await customer.settled())["spent"] == "1"


async def events(queue: asyncio.Queue[bytes | None]) -> None:
    """One after the other, and no end."""
    while True:
        queue.put_nowait(b"event")
        await asyncio.sleep(0.02)


async def test_a_body_of_known_length_is_not_gathered_either(front: Site, upstream: Upstream) -> None:
    tick = asyncio.Event()
    upstream.plan("*", streams.drip([b"one", b"two"], tick, chunked=False))
    async with caller(front) as client, client.stream("GET", "/free/drip") as answer:
        pieces = answer.aiter_raw()
        async with within("the first piece"):
            first = await anext(pieces)
        tick.set()
        second = await anext(pieces)

    assert (first, second) == (b"one", b"two")


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_upload_reaches_the_worker_while_it_goes_on(front: Site, upstream: Upstream, protocol: str) -> None:
    upstream.plan("*", streams.echo())
    echoed = asyncio.Event()

    async def upload() -> AsyncIterator[bytes]:
        yield b"one"
        async with within("the worker to see the first piece"):
            await upstream.until(lambda: bool(upstream.seen) and upstream.seen[0].upload.count == 3)
        echoed.set()
        yield b"two"

    async with caller(front, protocol=protocol) as client:
        answer = await client.post("/free/x", content=upload())

    assert echoed.is_set()
    assert (answer.status_code, answer.content) == (200, b"onetwo")


async def test_a_large_upload_that_waits_to_be_invited_arrives_whole(
    front: Site, upstream: Upstream, customer: Customer
) -> None:
    upstream.plan("*", answers.digest())
    status, body = await answered(front, LARGE, customer.fields)

    assert (status, json.loads(body)) == (200, {"bytes": len(LARGE), "sha256": hashlib.sha256(LARGE).hexdigest()})
    assert (await customer.settled())["spent"] == "1"


@pytest.mark.parametrize("expects", [True, False], ids=["invited", "not invited"])
async def test_a_large_upload_that_is_refused_is_told_why(
    kind: str, front: Site, upstream: Upstream, expects: bool
) -> None:
    # Caddy reads 256 KiB more than it needs, and then cuts a caller who is still sending.
    upload = LARGE if kind != "caddy" else LARGE[:200_000]

    status, body = await answered(front, upload, {"X-API-Key": "no key"}, expects=expects)

    assert (status, json.loads(body)["code"]) == (401, "invalid-key")
    assert upstream.seen == []


@pytest.mark.parametrize("kind", ["haproxy"])
async def test_behind_haproxy_it_is_the_gateway_that_invites_an_upload(front: Site, upstream: Upstream) -> None:
    """The two others invite it themselves, before they ask anybody."""
    assert front.certificate is not None
    host, _, port = front.place.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=front.certificate.trusting())
    fields = b"Host: x\r\nContent-Length: 8000000\r\nExpect: 100-continue\r\n"
    writer.write(b"POST %b HTTP/1.1\r\n%b\r\n" % (PATH.encode(), fields))
    async with within("the answer"):
        first = await reader.readline()
    writer.close()

    assert first.startswith(b"HTTP/1.1 401 ")


async def answered(front: Site, upload: bytes, fields: dict[str, str], *, expects: bool = True) -> tuple[int, bytes]:
    """Status and body of the answer to an upload, for a caller who waits for an invitation, or does not."""
    assert front.certificate is not None
    connector = aiohttp.TCPConnector(ssl=front.certificate.trusting())
    async with aiohttp.ClientSession(front.url, connector=connector) as session:
        async with session.post(PATH, data=io.BytesIO(upload), headers=fields, expect100=expects) as answer:
            return answer.status, await answer.read()
