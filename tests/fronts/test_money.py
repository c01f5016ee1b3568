"""A call is paid for once, whatever a front does when callers hang up or gateways fail."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.fronts.callers import PROTOCOLS, caller
from tests.fronts.front import Site
from tests.gateway import Customer, Gateway
from tests.peers import answers, streams
from tests.peers.upstream import Upstream

PATH = "/api/removebg"


async def test_caller_worker_and_ledger_know_a_call_by_the_same_id(
    front: Site, gateway: Gateway, upstream: Upstream, customer: Customer
) -> None:
    upstream.plan("*", answers.answer(200, b"cut-out"))
    fields = {**customer.fields, "X-Request-ID": "the caller's own"}
    async with caller(front) as client:
        answer = await client.post(PATH, content=b"p", headers=fields)

    (id_,) = answer.headers.get_list("X-Request-ID")
    assert upstream.seen[0].values("X-Request-ID") == [id_]
    assert (await gateway.charge(id_))["state"] == "captured"
    assert (answer.headers["X-Credits-Charged"], answer.headers["X-Credits-Remaining"]) == ("1", "99")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("path", "target", "spent"), [(PATH, "/v1/cutout", "1"), ("/api/cancel", "/api/cancel", "0")])
async def test_who_hangs_up_after_the_upload_is_charged_once_or_not_at_all_as_the_route_says(
    front: Site, upstream: Upstream, customer: Customer, protocol: str, path: str, target: str, spent: str
) -> None:
    gate = asyncio.Event()
    upstream.plan(target, streams.gated(gate, answers.answer(200, b"cut-out")))

    async def in_two_pieces() -> AsyncIterator[bytes]:
        """Of a request that comes in one piece, haproxy 2.6 does not notice that its caller hangs up."""
        yield b"pic"
        await upstream.request()
        yield b"ture"

    async with caller(front, protocol=protocol) as client:
        call = asyncio.create_task(client.post(path, content=in_two_pieces(), headers=customer.fields))
        await upstream.until(lambda: bool(upstream.seen) and upstream.seen[0].complete)
        call.cancel()
        await asyncio.wait([call])
    if spent == "0":
        await customer.settled()  # the front has passed it on, or the work would wait for the gate
    gate.set()

    assert (await customer.settled())["spent"] == spent
    assert len(upstream.seen) == 1


async def test_who_hangs_up_within_the_upload_pays_nothing(front: Site, upstream: Upstream, customer: Customer) -> None:
    upstream.plan("*", answers.digest())

    async def upload() -> AsyncIterator[bytes]:
        yield b"half of a picture"
        await upstream.request()
        raise ConnectionAbortedError

    async with caller(front) as client:
        with pytest.raises(ConnectionAbortedError):
            await client.post(PATH, content=upload(), headers=customer.fields)

    assert (await customer.settled())["spent"] == "0"
