"""Calls with one Idempotency-Key are attempts at one call, which is paid for once."""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

import aiohttp
import pytest

from tests.conftest import Start
from tests.gateway import Customer, Gateway, configuration, upstream_table
from tests.peers import answers, faults, raw, streams
from tests.peers.upstream import Upstream

PATH = "/api/removebg"
WORKER = "/v1/cutout"
NAME = "the same call"


class Received(NamedTuple):
    headers: Mapping[str, str]
    body: bytes


async def call(
    gateway: Gateway, customer: Customer, body: Any = b"picture", *, name: str = NAME, path: str = PATH
) -> tuple[int, dict[str, Any], Received]:
    fields = {**customer.fields, "Idempotency-Key": name}
    async with gateway.session.post(path, data=body, headers=fields) as answer:
        is_problem = answer.content_type == "application/problem+json"
        problem = await answer.json(content_type=None) if is_problem else {}
        return answer.status, problem, Received(answer.headers, await answer.read())


def post(customer: Customer, body: bytes = b"picture", *, length: int | None = None, name: str = NAME) -> bytes:
    length = len(body) if length is None else length
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-API-Key: {customer.key}\r\nIdempotency-Key: {name}\r\n"
    return f"{head}Content-Length: {length}\r\n\r\n".encode() + body


async def until_delivered(gateway: Gateway) -> None:
    """Until it is known whether each answer has arrived."""
    async with asyncio.timeout(10):
        while await gateway.pool.fetchval("SELECT count(*) FROM idempotency_keys WHERE delivered IS NULL"):
            await asyncio.sleep(0.01)


async def paid_but_cut(gateway: Gateway, customer: Customer, upstream: Upstream, body: bytes = b"picture") -> str:
    """A call that was captured although its caller was gone: the id of its charge."""
    gate = asyncio.Event()
    upstream.plan(WORKER, streams.gated(gate, answers.answer(200, b"cut-out")))
    async with raw.connect(gateway.url) as client:
        await client.send(post(customer, body))
        await upstream.until(lambda: bool(upstream.seen) and upstream.seen[-1].complete)
        client.reset()
    await asyncio.sleep(0.05)
    gate.set()
    await customer.settled()
    await until_delivered(gateway)
    upstream.plan(WORKER, answers.answer(200, b"cut-out"))
    return str(await gateway.pool.fetchval("SELECT id FROM charges WHERE state = 'captured' AND held > 0"))


async def test_a_call_that_is_done_is_409_with_its_charge(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    upstream.plan(WORKER, answers.answer(200, b"cut-out"))

    status, _, first = await call(gateway, customer)
    await until_delivered(gateway)
    again, problem, _ = await call(gateway, customer)

    assert (status, again) == (200, 409)
    assert (problem["code"], problem["charge"]) == ("idempotency-key-done", first.headers["X-Request-ID"])
    assert len(upstream.seen) == 1
    assert (await customer.settled())["spent"] == "1"
    assert await gateway.violations() == {}


async def test_another_body_under_a_key_that_is_done_is_422(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    upstream.plan(WORKER, answers.answer(200, b"cut-out"))

    await call(gateway, customer)
    await until_delivered(gateway)
    status, problem, _ = await call(gateway, customer, b"another picture")
    query, problem_of_query, _ = await call(gateway, customer, path=f"{PATH}?format=webp")

    assert (status, problem["code"]) == (422, "idempotency-key-reused")
    assert (query, problem_of_query["code"]) == (422, "idempotency-key-reused")
    assert len(upstream.seen) == 1


async def test_a_call_that_is_under_way_is_409(gateway: Gateway, customer: Customer, upstream: Upstream) -> None:
    gate = asyncio.Event()
    upstream.plan(WORKER, streams.gated(gate, answers.answer(200, b"cut-out")))

    first = asyncio.create_task(call(gateway, customer))
    await upstream.request()
    status, problem, _ = await call(gateway, customer)
    gate.set()

    assert (status, problem["code"]) == (409, "idempotency-key-in-flight")
    assert (await first)[0] == 200
    assert (await customer.settled())["spent"] == "1"


async def test_of_many_at_once_one_is_made(gateway: Gateway, customer: Customer, upstream: Upstream) -> None:
    upstream.plan(WORKER, answers.answer(200, b"cut-out"))

    statuses = [status for status, _, _ in await asyncio.gather(*(call(gateway, customer) for _ in range(20)))]

    assert statuses.count(200) == 1
    assert statuses.count(409) == 19
    assert (await customer.settled())["spent"] == "1"


async def test_what_failed_is_attempted_anew_at_the_full_price(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    upstream.plan(WORKER, answers.failed(500), answers.answer(400, b"no"), answers.answer(200, b"cut-out"))

    statuses = [(await call(gateway, customer, body))[0] for body in (b"one", b"two", b"three")]

    assert statuses == [502, 400, 200]
    assert await customer.settled() == {"available": "99", "held": "0", "spent": "1", "granted": "100"}
    assert await gateway.violations() == {}


async def test_what_was_refused_for_want_of_credit_is_not_remembered(gateway: Gateway, upstream: Upstream) -> None:
    customer = await gateway.customer("0.5")

    status, _, _ = await call(gateway, customer)

    assert status == 402
    assert await gateway.pool.fetchval("SELECT count(*) FROM idempotency_keys") == 0


async def test_what_was_paid_and_never_delivered_runs_once_more_for_nothing(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    paid = await paid_but_cut(gateway, customer, upstream)

    status, _, answer = await call(gateway, customer)
    await until_delivered(gateway)
    again, problem, _ = await call(gateway, customer)

    assert (status, answer.body) == (200, b"cut-out")
    assert (answer.headers["X-Credits-Charged"], answer.headers["X-Credits-Remaining"]) == ("0", "99")
    assert (again, problem["charge"]) == (409, paid)
    rerun = await gateway.charge(answer.headers["X-Request-ID"])
    assert (rerun["state"], rerun["held"], rerun["captured"]) == ("captured", 0, 0)
    assert await customer.settled() == {"available": "99", "held": "0", "spent": "1", "granted": "100"}
    assert await gateway.violations() == {}


async def test_the_free_run_is_for_the_same_body_only_and_the_worker_never_has_all_of_another(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    await paid_but_cut(gateway, customer, upstream)

    status, problem, _ = await call(gateway, customer, b"x" * 300_000)
    right, _, _ = await call(gateway, customer)

    assert (status, problem["code"]) == (422, "idempotency-key-reused")
    assert not any(seen.complete and seen.upload.count == 300_000 for seen in upstream.seen)
    assert right == 200
    assert (await customer.settled())["spent"] == "1"


async def test_a_free_run_that_fails_does_not_count(gateway: Gateway, customer: Customer, upstream: Upstream) -> None:
    await paid_but_cut(gateway, customer, upstream)
    upstream.plan(WORKER, answers.failed(500), faults.reset_at(10), answers.answer(200, b"cut-out"))

    first, _, _ = await call(gateway, customer)
    async with raw.connect(gateway.url) as client:
        cut = await client.ask(post(customer))
    last, _, _ = await call(gateway, customer)

    assert (first, cut.ending == "cut" or cut.status == 502, last) == (502, True, 200)
    assert (await customer.settled())["spent"] == "1"
    assert await gateway.violations() == {}


async def test_a_free_run_needs_no_credit(gateway: Gateway, upstream: Upstream) -> None:
    customer = await gateway.customer("1")
    await paid_but_cut(gateway, customer, upstream)

    status, _, _ = await call(gateway, customer)

    assert status == 200
    assert await customer.balance() == "0"


async def test_after_a_day_a_key_is_forgotten(gateway: Gateway, customer: Customer, upstream: Upstream) -> None:
    upstream.plan(WORKER, answers.answer(200, b"cut-out"))

    await call(gateway, customer)
    await until_delivered(gateway)
    await gateway.pool.execute("UPDATE idempotency_keys SET created_at = created_at - interval '25 hours'")
    status, _, _ = await call(gateway, customer, b"another")

    assert status == 200
    assert (await customer.settled())["spent"] == "2"


async def test_keys_belong_to_an_account(gateway: Gateway, customer: Customer, upstream: Upstream) -> None:
    other = await gateway.customer()
    upstream.plan(WORKER, answers.answer(200, b"cut-out"))

    assert (await call(gateway, customer))[0] == 200
    assert (await call(gateway, other, b"another"))[0] == 200


async def test_another_route_under_the_same_key_is_422(start: Start, upstream: Upstream) -> None:
    route = '[[routes]]\nuse = "proxy"\npath = "%s"\nupstream = "worker"\ntarget = "/v1/cutout"\nprice = "1"\n'
    upstream.plan(WORKER, answers.answer(200, b"cut-out"))
    async with start(configuration(upstream_table(upstream.url), routes=route % "/a" + route % "/b")) as gateway:
        customer = await gateway.customer()

        first, _, _ = await call(gateway, customer, path="/a")
        status, problem, _ = await call(gateway, customer, path="/b")

    assert (first, status, problem["code"]) == (200, 422, "idempotency-key-reused")


@pytest.mark.parametrize("name", ["", "x" * 256, "caf\xe9", "tab\there"])
async def test_a_key_is_up_to_255_printable_characters(
    gateway: Gateway, customer: Customer, upstream: Upstream, name: str
) -> None:
    async with raw.connect(gateway.url) as client:
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-API-Key: {customer.key}\r\nIdempotency-Key: {name}\r\n"
        reply = await client.ask(f"{head}Content-Length: 1\r\n\r\nx".encode("latin-1"))

    assert (reply.status, reply.json()["code"]) == (400, "bad-parameter")
    assert upstream.seen == []


async def test_the_same_form_with_a_new_boundary_is_the_same_call(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    upstream.plan(WORKER, answers.answer(200, b"cut-out"))

    def form() -> aiohttp.FormData:
        data = aiohttp.FormData()
        data.add_field("image", b"picture", filename="a.png")
        return data

    await call(gateway, customer, form())
    await until_delivered(gateway)
    status, problem, _ = await call(gateway, customer, form())

    assert (status, problem["code"]) == (409, "idempotency-key-done")


async def test_a_caller_who_reads_nothing_has_not_got_the_answer(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    upstream.plan(WORKER, streams.generated(20_000_000))

    async with raw.connect(gateway.url) as client:
        await client.send(post(customer))
        await client.head()
        client.reset()
    await customer.settled()
    await until_delivered(gateway)

    assert await gateway.pool.fetchval("SELECT delivered FROM idempotency_keys") is False
    assert (await customer.balances())["spent"] == "1"


async def test_an_answer_on_its_way_over_a_slow_line_that_then_closes_is_delivered(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    upstream.plan(WORKER, answers.answer(200, b"x" * 100_000))
    request = post(customer).replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n")

    async with raw.connect(gateway.url, receive_buffer_bytes=4096) as client:
        await client.send(request)
        while (await customer.balances())["spent"] == "0":
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        reply = await client.reply()

    assert reply.body == b"x" * 100_000
    await until_delivered(gateway)
    assert await gateway.pool.fetchval("SELECT delivered FROM idempotency_keys") is True


async def test_the_same_call_twice_on_one_connection_runs_once(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    upstream.plan(WORKER, answers.answer(200, b"x" * 100_000))

    async with raw.connect(gateway.url, receive_buffer_bytes=4096) as client:
        await client.send(post(customer) * 2)
        await asyncio.sleep(0.2)
        replies = await client.reply(), await client.reply()

    assert [reply.status for reply in replies] == [200, 409]
    assert replies[1].json()["code"] == "idempotency-key-done"
    assert len(upstream.seen) == 1
    assert (await customer.settled())["spent"] == "1"


async def test_a_plugin_of_ones_own_keeps_the_promise_as_well(start: Start) -> None:
    text = '[[routes]]\nuse = "tests.plugin:Paint"\ncolour = "red"\n'
    async with start(configuration("", routes=text)) as gateway:
        customer = await gateway.customer()

        first, _, answer = await call(gateway, customer, b"x" * 900_000, path="/api/paint?size=1")
        await until_delivered(gateway)
        same, _, _ = await call(gateway, customer, b"x" * 900_000, path="/api/paint?size=1")
        other, _, _ = await call(gateway, customer, b"x" * 800_000, path="/api/paint?size=1")

        assert (first, answer.body, same, other) == (200, b"900000", 409, 422)
        assert (await customer.settled())["spent"] == "0.5"
        assert UUID(answer.headers["X-Request-ID"])
