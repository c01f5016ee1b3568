"""The peers do what they say: otherwise every test that leans on them proves nothing."""

import hashlib

import pytest

from tests.peers import answers, raw, streams
from tests.peers.malformed import MALFORMED
from tests.peers.paths import SPELLINGS
from tests.peers.upstream import Upstream

POST = b"POST /x HTTP/1.1\r\nHost: upstream\r\nContent-Length: 7\r\n\r\npicture"


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
