"""What stands between a worker's refusal and the caller: silence, pieces, an edge that speaks in the worker's place."""

import asyncio
import base64
import json

import pytest

from tests.conftest import Start
from tests.gateway import CHAIN, Customer, configuration, upstream_table
from tests.peers import answers, faults, redirects
from tests.peers.exchange import Behaviour, Exchange
from tests.peers.upstream import Upstream

ROUTES = "\n".join(
    f'[[routes]]\nuse = "{use}"\nupstream = "worker"\nprice = "1"\n{more}'
    for use, more in (("removebg", ""), ("withoutbg", ""), ("proxy", 'path = "/api/removebg"\ntarget = "/v1/cutout"\n'))
)
PICTURE = base64.b64encode(b"picture").decode()
CALLS = {
    "removebg": ("/v1.0/removebg", {"image_file_b64": PICTURE}),
    "withoutbg": ("/v1.0/alpha-channel-base64", {"image_base64": PICTURE}),
    "proxy": ("/api/removebg", {"url": "https://example.com/a.jpg"}),
}
PROBLEM = b'{"type":"about:blank","title":"No","status":415,"code":"not-an-image","detail":"The bytes are no picture."}'
KIND = ("Content-Type", "application/problem+json")
WORDED = ["removebg", "withoutbg"]


def split(status: int, first: bytes, second: bytes) -> Behaviour:
    """An answer whose body comes in two segments."""

    async def behave(exchange: Exchange) -> None:
        await exchange.read_all()
        await exchange.send_head(status, [KIND, ("Content-Length", str(len(first + second)))])
        await exchange.send_body(first)
        await asyncio.sleep(faults.SEGMENT_SECONDS)
        await exchange.send_body(second)
        exchange.finish()

    return behave


async def call(customer: Customer, use: str) -> tuple[int, bytes]:
    path, body = CALLS[use]
    async with customer.gateway.session.post(path, json=body, headers=customer.fields) as answer:
        return answer.status, await answer.read()


async def refused(
    start: Start, upstream: Upstream, use: str, behaviour: Behaviour, settings: str = ""
) -> tuple[int, bytes]:
    """The answer to one call, which has cost nothing."""
    upstream.plan("*", behaviour)
    table = upstream_table(upstream.url, settings=settings)
    async with start(configuration(table, chain=CHAIN, routes=ROUTES)) as gateway:
        customer = await gateway.customer()
        status, body = await call(customer, use)
        assert await customer.settled() == {"available": "100", "held": "0", "spent": "0", "granted": "100"}
        assert await gateway.violations() == {}
    return status, body


@pytest.mark.parametrize("use", WORDED)
async def test_a_refusal_whose_body_does_not_come_is_given_up_and_its_credit_given_back(
    start: Start, upstream: Upstream, use: str
) -> None:
    silent = faults.silent_after(headers=(KIND, ("Content-Length", "92")), status=415)

    status, _ = await refused(start, upstream, use, silent, "idle_seconds = 0.2")

    assert status == 504


@pytest.mark.parametrize("use", WORDED)
async def test_a_refusal_that_breaks_off_is_the_workers_fault(start: Start, upstream: Upstream, use: str) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.read_all()
        await exchange.send_head(415, [KIND, ("Content-Length", "92")])
        await asyncio.sleep(faults.SEGMENT_SECONDS)
        exchange.reset()

    status, _ = await refused(start, upstream, use, behave)

    assert status == 502


@pytest.mark.parametrize("use", CALLS)
async def test_a_refusal_in_two_pieces_is_told_as_one(start: Start, upstream: Upstream, use: str) -> None:
    status, body = await refused(start, upstream, use, split(415, PROBLEM[:20], PROBLEM[20:]))

    assert status in {400, 415}
    assert b"no picture" in body


@pytest.mark.parametrize("use", CALLS)
@pytest.mark.parametrize("cut", [1, 5, 200])
async def test_what_an_edge_refuses_is_not_told_as_the_callers_fault(
    start: Start, upstream: Upstream, use: str, cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    words = b"modal-http: app for invoked web endpoint is stopped\n\x1b[31m"

    status, body = await refused(start, upstream, use, split(404, words[:cut], words[cut:]))

    assert status == 502
    assert b"modal" not in body
    if cut > len(words):
        assert "answered 404: modal-http: app for invoked web endpoint is stopped[31m" in caplog.text


@pytest.mark.parametrize("body", [b"", b"mod", b"modal-ities are not known", b"no such thing"])
async def test_a_workers_own_refusal_passes_unchanged(start: Start, upstream: Upstream, body: bytes) -> None:
    assert await refused(start, upstream, "proxy", answers.answer(404, body)) == (404, body)


@pytest.mark.parametrize("use", WORDED)
@pytest.mark.parametrize(
    "behaviour",
    [
        answers.answer(200, b"<h1>It works</h1>", [("Content-Type", "text/html")]),
        answers.answer(204),
        answers.answer(404, PROBLEM, [KIND]),
        answers.answer(405, PROBLEM, [KIND]),
        answers.answer(400, b"<h1>Bad Request</h1>", [("Content-Type", "text/html")]),
        answers.answer(400, json.dumps({"code": "x", "detail": "y" * 70_000}).encode(), [KIND]),
    ],
    ids=["no picture", "nothing", "no such path", "no such method", "not a problem", "a long one"],
)
async def test_what_is_neither_a_picture_nor_a_refusal_is_the_workers_fault(
    start: Start, upstream: Upstream, use: str, behaviour: Behaviour
) -> None:
    assert (await refused(start, upstream, use, behaviour))[0] == 502


@pytest.mark.parametrize(
    ("base", "location"), [("/app", "/admin/secrets"), ("/app", "/app/../admin"), ("/app", "/apple")]
)
async def test_a_result_elsewhere_than_below_the_base_is_not_fetched(
    start: Start, upstream: Upstream, base: str, location: str
) -> None:
    upstream.plan("*", answers.answer(303, headers=[("Location", location)]))
    table = upstream_table(upstream.url + base)
    async with start(configuration(table, routes=ROUTES)) as gateway:
        customer = await gateway.customer()

        status, _ = await call(customer, "proxy")

        assert status == 502
        assert [seen.path for seen in upstream.seen] == [f"{base}/v1/cutout"]
        assert (await customer.settled())["available"] == "100"


@pytest.mark.parametrize("status", [400, 403, 404, 405, 410])
async def test_a_worker_that_nobody_will_ever_wake_is_said_at_once(
    start: Start, upstream: Upstream, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.plan("/v1/cutout", answers.starting())
    upstream.plan("/ready", answers.answer(status, b"modal-http: invalid function call"))
    table = upstream_table(upstream.url, settings='wake = { path = "/ready", seconds = 3600 }')
    async with start(configuration(table, routes=ROUTES)) as gateway:
        customer = await gateway.customer()

        answered, _ = await call(customer, "proxy")

        assert answered == 502
        assert (await customer.settled())["available"] == "100"
    assert f"answers {status} to /ready" in caplog.text


async def test_what_keeps_a_worker_from_waking_is_in_the_log(
    start: Start, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.plan("/v1/cutout", answers.starting())
    upstream.plan("/ready", answers.answer(429, b"modal-http: spend limit reached"))
    table = upstream_table(upstream.url, settings='wake = { path = "/ready", seconds = 0.2 }')
    async with start(configuration(table, routes=ROUTES)) as gateway:
        customer = await gateway.customer()

        assert (await call(customer, "proxy"))[0] == 503

    assert "does not wake: answers 429 to /ready" in caplog.text


async def test_a_result_below_the_base_is_fetched(start: Start, upstream: Upstream) -> None:
    upstream.plan("*", redirects.chain(2, answers.answer(200, b"cut-out", [("Content-Type", "image/png")])))
    async with start(configuration(upstream_table(upstream.url), routes=ROUTES)) as gateway:
        customer = await gateway.customer()

        assert await call(customer, "removebg") == (200, b"cut-out")
        assert (await customer.settled())["spent"] == "1"
