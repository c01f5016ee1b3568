"""One message to one receiver: signed as the specification says, and no answer can do harm."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from nijika.store.attempts import Answer, Attempt
from nijika.webhooks import message, signature
from nijika.webhooks.address import Addresses
from nijika.webhooks.sender import Sender
from tests.browser.test_https import _certificate
from tests.webhooks.receiver import Receiver
from tests.webhooks.test_address import LOOPBACK, SECRET, attempt, names

FORMER = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="


@asynccontextmanager
async def sending(timeout_seconds: float = 5) -> AsyncIterator[Sender]:
    async with Sender(Addresses(LOOPBACK), timeout_seconds=timeout_seconds) as sender:
        yield sender


async def send(url: str, *secrets: str, timeout_seconds: float = 5) -> Answer:
    async with sending(timeout_seconds) as sender:
        return await sender.send(attempt(url), secrets or (SECRET,))


def told(url: str, data: str) -> Attempt:
    return replace(attempt(url), data=data, happened_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC))


async def test_a_message_verifies_with_the_library_of_the_specification(receiver: Receiver) -> None:
    async with sending() as sender:
        await sender.send(told(receiver.url, '{"reason": "Zahlung \u20ac 5", "amount": "0.000001"}'), [SECRET])

    (got,) = receiver.got
    assert got.verified(SECRET) == {
        "type": "webhook.test",
        "timestamp": "2026-01-02T03:04:05.678Z",
        "data": {"reason": "Zahlung € 5", "amount": "0.000001"},
    }
    assert got.id == f"msg_{7:032x}"
    with pytest.raises(WebhookVerificationError):
        got.verified(FORMER)
    with pytest.raises(WebhookVerificationError):
        replace(got, body=got.body.replace(b"0.000001", b"9.000001")).verified(SECRET)


def test_a_signature_is_that_of_the_specifications_own_library() -> None:
    at = datetime(2023, 1, 19, 0, 18, 7, tzinfo=UTC)
    body = message.body("example.event", at, '{"foo": "bar"}')

    fields = signature.fields([SECRET], message.name(UUID(int=7)), body, 1674087487)

    assert fields == {
        "webhook-id": f"msg_{7:032x}",
        "webhook-timestamp": "1674087487",
        "webhook-signature": Webhook(SECRET).sign(f"msg_{7:032x}", at, body.decode()),
    }


async def test_each_of_two_secrets_verifies_while_they_overlap(receiver: Receiver) -> None:
    await send(receiver.url, SECRET, FORMER)

    (got,) = receiver.got
    assert got.verified(SECRET) == got.verified(FORMER)
    assert len(got.headers["webhook-signature"].split(" ")) == 2


async def test_the_timestamp_is_that_of_the_attempt(receiver: Receiver) -> None:
    async with Sender(Addresses(LOOPBACK), timeout_seconds=5, clock=lambda: 1_800_000_000.9) as sender:
        await sender.send(told(receiver.url, "{}"), [SECRET])

    assert receiver.got[0].headers["webhook-timestamp"] == "1800000000"
    assert receiver.got[0].json["timestamp"] == "2026-01-02T03:04:05.678Z"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_a_success(receiver: Receiver, status: int) -> None:
    receiver.answers(status)

    answer = await send(receiver.url)

    assert (answer.status, answer.error) == (status, None)


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 400, 401, 404, 410, 429, 500, 503])
async def test_anything_else_is_none_and_a_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    receiver.answers(status, Location="/elsewhere")

    answer = await send(receiver.url)

    assert answer.status == status
    assert answer.error is not None
    assert str(status) in answer.error
    assert [got.path for got in receiver.got] == ["/hook"]


async def test_the_path_and_query_of_an_address_are_kept(receiver: Receiver) -> None:
    await send(receiver.url + "/a%2Fb?token=1%202&x")

    assert receiver.got[0].path == "/hook/a%2Fb?token=1%202&x"


async def test_no_answer_in_time_is_a_failure(receiver: Receiver) -> None:
    receiver.answer = lambda _: asyncio.sleep(60, web.Response())

    answer = await send(receiver.url, timeout_seconds=0.3)

    assert (answer.status, answer.error) == (None, "No answer came within 0.3 seconds.")


async def test_a_huge_body_is_not_read(receiver: Receiver) -> None:
    written = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        while written < 500_000_000:
            await response.write(bytes(65_536))
            written += 65_536
        return response

    receiver.answer = answer

    got = await send(receiver.url)

    assert (got.status, got.error) == (200, None)
    assert written < 100_000_000


async def test_a_body_without_end_does_not_undo_the_success(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nijika.webhooks.sender.DRAIN_SECONDS", 0.2)

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b".")
            await asyncio.sleep(0.05)

    receiver.answer = answer

    async with asyncio.timeout(10):
        assert (await send(receiver.url)).error is None


@pytest.mark.parametrize(
    "reply",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(20_000)) + b"\r\n",
        b"",
    ],
)
async def test_an_answer_that_is_no_http_is_a_failure(reply: bytes) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        answer = await send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

    assert (answer.status, answer.error) == (None, "The connection broke, or the answer was no HTTP.")


async def test_a_compressed_body_is_not_blown_up(receiver: Receiver) -> None:
    receiver.answers(200, **{"Content-Encoding": "gzip"})

    assert (await send(receiver.url)).error is None


async def test_nobody_there_is_a_failure(receiver: Receiver) -> None:
    assert (await send("http://127.0.0.1:9/")).error == "No connection to the server could be made."


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    context = _certificate(tmp_path)
    assert isinstance(context, ssl.SSLContext)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
    async with server:
        answer = await send(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

    assert (answer.status, answer.error) == (None, "The certificate of the server is not valid for this address.")


async def test_no_cookie_comes_back(receiver: Receiver) -> None:
    receiver.answers(204, **{"Set-Cookie": "seen=1; Path=/"})
    async with sending() as sender:
        for _ in range(2):
            await sender.send(attempt(receiver.url), [SECRET])

    assert [got.headers.get("Cookie") for got in receiver.got] == [None, None]


@pytest.mark.parametrize(
    ("text", "seconds"), [("120", 120.0), ("-1", None), ("1e9", None), ("Fri, 31 Dec 2027 23:59:59 GMT", None)]
)
async def test_the_receivers_own_time_is_read(receiver: Receiver, text: str, seconds: float | None) -> None:
    receiver.answers(503, **{"Retry-After": text})

    assert (await send(receiver.url)).retry_after == seconds


async def test_two_messages_never_share_a_connection_or_a_look_up(receiver: Receiver) -> None:
    asked = names(["127.0.0.1"], ["10.0.0.1"])
    async with Sender(Addresses(LOOPBACK, asked), timeout_seconds=5) as sender:
        url = receiver.url.replace("127.0.0.1", "a.example")
        first, second = [await sender.send(attempt(url), [SECRET]) for _ in range(2)]

    assert first.error is None
    assert second.error == "The address leads to a place that is not on the public internet."
