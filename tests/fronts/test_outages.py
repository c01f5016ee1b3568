"""What callers see through each front when something is away, and what keeps a gateway in its rotation."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.fronts.callers import caller
from tests.fronts.certificate import Certificate
from tests.fronts.front import Site, running
from tests.gateway import Customer, Gateway
from tests.peers import answers, faults
from tests.peers.upstream import Upstream

PATH = "/api/removebg"
TIME_WAIT = "06"


async def test_the_gateways_own_problems_pass_through_unchanged(
    front: Site, upstream: Upstream, customer: Customer
) -> None:
    upstream.plan("/v1/cutout", answers.failed(500), answers.too_many(), faults.reset())
    upstream.plan("/slow", faults.unanswered)
    told = []
    async with caller(front) as client:
        for path in (PATH, PATH, PATH, "/slow", "/nowhere", "/free//x"):
            answer = await client.post(path, content=b"p", headers=customer.fields)
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.headers["X-Request-ID"] == answer.json()["request_id"]
            told.append((answer.status_code, answer.json()["code"], "Retry-After" in answer.headers))

    assert told == [
        (502, "upstream-failed", False),
        (503, "upstream-unavailable", True),
        (502, "upstream-failed", False),
        (504, "upstream-timeout", False),
        (404, "not-found", False),
        (400, "bad-path", False),
    ]
    assert (await customer.settled())["available"] == "100"


async def test_calls_share_connections_to_the_gateway(front: Site, gateway: Gateway, upstream: Upstream) -> None:
    upstream.plan("*", answers.answer(200, b"fine"))
    for _ in range(20):
        async with caller(front) as client:
            assert (await client.get("/free/x")).status_code == 200

    assert 1 <= connections(gateway) < 10


def connections(gateway: Gateway) -> int:
    """How many connections there were to it within the last minute."""
    port = urlsplit(gateway.url).port
    ends = [line.split()[1:4] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ours = [state for local, _, state in ends if int(local.split(":")[1], 16) == port and state != "0A"]
    theirs = [state for _, remote, state in ends if int(remote.split(":")[1], 16) == port and state == TIME_WAIT]
    return len(ours) + len(theirs)


async def test_a_gateway_that_is_away_is_passed_by(
    kind: str, tmp_path: Path, gateway: Gateway, upstream: Upstream, customer: Customer, certificate: Certificate
) -> None:
    upstream.plan("*", answers.answer(200, b"cut-out"))
    with socket.socket() as away:
        away.bind(("127.0.0.1", 0))  # and does not listen
        places = (f"127.0.0.1:{away.getsockname()[1]}", urlsplit(gateway.url).netloc)
        with running(kind, tmp_path / kind, places, certificate) as front:
            statuses = [await paid(front, customer) for _ in range(6)]

    assert statuses == [200] * 6
    assert (await customer.settled())["spent"] == "6"


class Dying:
    """A gateway that is killed whenever a call has reached it."""

    def __init__(self) -> None:
        self.calls = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Its place (host:port)."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if b" /health " in head:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                self.calls += 1
        except asyncio.IncompleteReadError:
            pass
        writer.close()


async def test_a_call_that_a_gateway_died_of_is_not_sent_to_the_other_one(
    kind: str, tmp_path: Path, gateway: Gateway, upstream: Upstream, customer: Customer, certificate: Certificate
) -> None:
    """What has begun there may be paid for there; its caller, who sees 502, decides."""
    upstream.plan("*", answers.answer(200, b"cut-out"))
    dying = Dying()
    async with dying.listening() as place:
        with running(kind, tmp_path / kind, (place, urlsplit(gateway.url).netloc), certificate) as front:
            statuses = [await paid(front, customer) for _ in range(6)]

    assert statuses.count(502) == dying.calls > 0
    assert statuses.count(200) == len(upstream.seen) == 6 - dying.calls
    assert (await customer.settled())["spent"] == str(statuses.count(200))


async def test_no_caller_can_have_the_gateways_left_out(front: Site, upstream: Upstream, customer: Customer) -> None:
    upstream.plan("*", answers.answer(200, b"cut-out"))
    for _ in range(4):
        await offend(front)

    assert [await paid(front, customer) for _ in range(4)] == [200] * 4


async def offend(front: Site) -> None:
    """Upload much to what is no method, for as long as one is let."""
    assert front.certificate is not None
    host, _, port = front.place.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=front.certificate.trusting())
    writer.write(b"FOO /free/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n")
    try:
        for _ in range(50):
            writer.write(b"x" * 100_000)
            await writer.drain()
        await reader.readline()
    except ConnectionError:
        pass
    writer.close()


async def paid(front: Site, customer: Customer) -> int:
    """The status of a paid call."""
    async with caller(front) as client:
        return (await client.post(PATH, content=b"picture", headers=customer.fields)).status_code
