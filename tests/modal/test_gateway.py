"""A gateway whose worker runs on Modal: what sleeps is woken, what takes long is waited for, what fails is not paid."""

import asyncio
from contextlib import AbstractAsyncContextManager

import aiohttp
import pytest
from aiohttp import web

from tests.conftest import Start
from tests.gateway import Customer, Gateway, configuration, upstream_table
from tests.modal.edge import CREDENTIALS, Container, Edge, edge
from tests.peers import answers
from tests.peers.upstream import Upstream

PATH = "/api/removebg"
HEADERS = 'headers = { Modal-Key = "wk-test", Modal-Secret = "ws-test" }'
WAKES = f'{HEADERS}\nwake = {{ path = "/ready", seconds = 10 }}'
LARGE = b"x" * 300_000


async def cut_out(request: web.Request) -> web.Response:
    """A container that works at once."""
    if request.path == "/ready":
        return web.Response()
    return web.Response(body=b"cut-out of %d" % len(await request.read()), headers={"X-Engine": "classic"})


def gated(gate: asyncio.Event, then: Container = cut_out) -> Container:
    """A container whose work ends when the gate opens."""

    async def work(request: web.Request) -> web.Response:
        await gate.wait()
        return await then(request)

    return work


def behind(start: Start, modal: Edge, settings: str = WAKES) -> AbstractAsyncContextManager[Gateway]:
    """A gateway with `POST /api/removebg` for 1 credit on the edge."""
    return start(configuration(upstream_table(modal.url, settings=settings)))


async def call(
    customer: Customer, body: bytes = b"picture", headers: dict[str, str] | None = None
) -> tuple[aiohttp.ClientResponse, bytes]:
    async with customer.gateway.session.post(
        PATH, data=body, headers=customer.fields | (headers or {}), allow_redirects=False
    ) as answer:
        return answer, await answer.read()


def leaks(answer: aiohttp.ClientResponse, body: bytes) -> list[str]:
    """What a caller could tell Modal by."""
    fields = [name for name in answer.headers if name.lower().startswith(("modal", "x-modal", "location"))]
    values = [value for value in answer.headers.values() if any(secret in value for secret in CREDENTIALS.values())]
    return fields + values + (["body"] if b"modal" in body.lower() else [])


@pytest.mark.parametrize("body", [b"picture", LARGE], ids=["small", "large"])
async def test_a_worker_that_was_scaled_to_zero_is_woken_and_works_once(start: Start, body: bytes) -> None:
    async with edge(cut_out, boot_seconds=0.3) as modal, behind(start, modal) as gateway:
        customer = await gateway.customer()

        answer, result = await call(customer, body)

        assert (answer.status, result) == (200, b"cut-out of %d" % len(body))
        assert modal.ran == 1
        assert 503 in {asked.status for asked in modal.asked}
        assert all(asked.is_authorized for asked in modal.asked)
        assert leaks(answer, result) == []
        assert (await customer.settled())["spent"] == "1"
        assert await gateway.violations() == {}


@pytest.mark.parametrize("size", [3_000, 300_000], ids=["small", "large"])
async def test_a_call_in_another_services_words_wakes_a_worker_too_and_is_charged_once(start: Start, size: int) -> None:
    async def picture(request: web.Request) -> web.Response:
        if request.path == "/ready":
            return web.Response()
        came_whole = b'name="image"' in await request.read() and b"x" * size in await request.read()
        return web.Response(body=b"cut-out", content_type="image/png", status=200 if came_whole else 500)

    route = '[[routes]]\nuse = "removebg"\nupstream = "worker"\nprice = "1"\n'
    async with edge(picture, boot_seconds=0.3) as modal:
        async with start(configuration(upstream_table(modal.url, settings=WAKES), routes=route)) as gateway:
            customer = await gateway.customer()
            form = aiohttp.FormData({"size": "full"})
            form.add_field("image_file", b"x" * size, filename="a.jpg")

            async with gateway.session.post("/v1.0/removebg", data=form, headers=customer.fields) as answer:
                body = await answer.read()

            assert (answer.status, body) == (200, b"cut-out")
            assert modal.ran == 1
            assert 503 in {asked.status for asked in modal.asked}
            assert leaks(answer, body) == []
            assert (await customer.settled())["spent"] == "1"


async def test_an_app_that_was_stopped_is_502_at_once_and_costs_nothing(start: Start) -> None:
    async with edge(cut_out, stopped=True) as modal, behind(start, modal) as gateway:
        customer = await gateway.customer()

        for body in (b"picture", LARGE):
            answer, problem = await call(customer, body)

            assert answer.status == 502
            assert leaks(answer, problem) == []
        assert (await customer.settled())["available"] == "100"


async def test_without_a_wake_a_worker_that_was_scaled_to_zero_is_503_and_costs_nothing(start: Start) -> None:
    async with edge(cut_out, boot_seconds=60) as modal, behind(start, modal, HEADERS) as gateway:
        customer = await gateway.customer()

        answer, body = await call(customer)

        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert leaks(answer, body) == []
        assert await customer.settled() == {"available": "100", "held": "0", "spent": "0", "granted": "100"}


async def test_a_result_that_takes_longer_than_modal_waits_is_fetched_and_charged_once(start: Start) -> None:
    gate = asyncio.Event()
    async with edge(gated(gate), answer_seconds=0.05) as modal, behind(start, modal) as gateway:
        customer = await gateway.customer()

        calling = asyncio.create_task(call(customer))
        await modal.until(303, count=3)
        gate.set()
        answer, body = await calling

        assert (answer.status, body) == (200, b"cut-out of 7")
        assert modal.ran == 1
        assert [asked.method for asked in modal.asked] == ["POST", *["GET"] * (len(modal.asked) - 1)]
        assert all(asked.is_authorized for asked in modal.asked)
        assert leaks(answer, body) == []
        assert (await customer.settled())["spent"] == "1"
        assert await gateway.violations() == {}


async def test_a_late_result_that_is_a_failure_costs_nothing(start: Start) -> None:
    async def fail(_: web.Request) -> web.Response:
        return web.Response(status=500, text="modal traceback")

    gate = asyncio.Event()
    async with edge(gated(gate, fail), answer_seconds=0.05) as modal, behind(start, modal) as gateway:
        customer = await gateway.customer()

        calling = asyncio.create_task(call(customer))
        await modal.until(303)
        gate.set()
        answer, body = await calling

        assert answer.status == 502
        assert leaks(answer, body) == []
        assert (await customer.settled())["available"] == "100"
        assert await gateway.violations() == {}


async def test_a_result_that_never_comes_is_given_up_after_20_hops_and_costs_nothing(start: Start) -> None:
    async with edge(gated(asyncio.Event()), answer_seconds=0.01) as modal, behind(start, modal) as gateway:
        customer = await gateway.customer()

        answer, body = await call(customer)

        assert answer.status == 502
        assert [asked.status for asked in modal.asked] == [303] * 21
        assert leaks(answer, body) == []
        assert (await customer.settled())["available"] == "100"


async def test_a_303_to_another_host_is_not_followed_and_costs_nothing(start: Start, upstream: Upstream) -> None:
    gate = asyncio.Event()
    async with (
        edge(gated(gate), answer_seconds=0.01, elsewhere=f"{upstream.url}/result") as modal,
        behind(start, modal) as gateway,
    ):
        customer = await gateway.customer()

        answer, body = await call(customer)

        assert answer.status == 502
        assert upstream.connections == 0, "neither the call nor the credentials go there"
        assert leaks(answer, body) == []
        assert (await customer.settled())["available"] == "100"


async def test_a_call_above_the_cap_is_503_and_costs_nothing_and_the_one_below_it_is_charged(start: Start) -> None:
    gate = asyncio.Event()
    async with edge(gated(gate), calls_max=1) as modal, behind(start, modal) as gateway:
        customer = await gateway.customer()

        first = asyncio.create_task(call(customer))
        await modal.until_running()
        shed, body = await call(customer)
        gate.set()
        served, _ = await first

        assert (served.status, shed.status) == (200, 503)
        assert int(shed.headers["Retry-After"]) > 0
        assert leaks(shed, body) == []
        assert (await customer.settled())["spent"] == "1"
        assert await gateway.violations() == {}


@pytest.mark.parametrize("body", [b"picture", LARGE], ids=["small", "large"])
async def test_credentials_that_modal_does_not_take_are_a_502_at_once_that_costs_nothing(
    start: Start, body: bytes
) -> None:
    wrong = WAKES.replace("ws-test", "ws-revoked").replace("seconds = 10", "seconds = 3600")
    async with edge(cut_out) as modal, behind(start, modal, wrong) as gateway:
        customer = await gateway.customer()

        answer, problem = await call(customer, body)

        assert answer.status == 502
        assert modal.ran == 0
        assert leaks(answer, problem) == []
        assert "WWW-Authenticate" not in answer.headers
        assert (await customer.settled())["available"] == "100"


async def test_credentials_go_to_their_own_upstream_alone_and_callers_cannot_speak_to_modal(
    start: Start, upstream: Upstream
) -> None:
    upstream.plan("*", answers.answer(200, b"painted"))
    other = f'[upstreams.painter]\nurls = ["{upstream.url}"]\n'
    route = '[[routes]]\nuse = "proxy"\npath = "/api/paint"\nupstream = "painter"\nprice = "free"\n'
    forged = {"Modal-Key": "forged", "Modal-Session-ID": "s", "X-Modal-Server-Session-Idle-Timeout": "1", "X-Kept": "k"}
    async with edge(cut_out) as modal:
        text = configuration(upstream_table(modal.url, settings=WAKES) + other) + route
        async with start(text) as gateway:
            customer = await gateway.customer()

            await call(customer, headers=forged)
            async with gateway.session.post("/api/paint", data=b"p", headers=forged) as answer:
                await answer.read()

        towards_modal = {name for name in modal.asked[0].headers if "modal" in name.lower()}
        towards_other = {name.decode() for name, _ in upstream.seen[0].headers}
        assert modal.asked[0].is_authorized
        assert towards_modal == {"Modal-Key", "Modal-Secret"}
        assert "X-Kept" in towards_other
        assert [name for name in towards_other if "modal" in name.lower()] == []
