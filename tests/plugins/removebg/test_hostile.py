"""Bodies that are made to be costly are refused early, and the gateway goes on answering others."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request

from nijika.errors import TooManyBodies
from nijika.plugins.removebg.form import FIELDS_MAX, Form
from nijika.proxy.budget import GATHERED, Budget
from tests.conftest import Start
from tests.gateway import Customer, Gateway, configuration, upstream_table
from tests.peers import answers, faults, raw, streams
from tests.peers.upstream import Upstream
from tests.plugins.removebg.conftest import PATH, WORKER, error, remove

MULTIPART = "multipart/form-data; boundary=x"
MATTE, WITHOUT_BG = "/v1.0/alpha-channel-base64", '[[routes]]\nuse = "withoutbg"\nupstream = "worker"\nprice = "0.25"\n'
PICTURE = bytes(range(256)) * 2000
IN_BASE64 = {"image_file_b64": base64.b64encode(PICTURE).decode()}


def part(name: str, value: str = "") -> bytes:
    return f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


@pytest.fixture(autouse=True)
def _worker(upstream: Upstream) -> None:
    upstream.plan(WORKER, answers.answer(200, b"cut-out", [("Content-Type", "image/png")]))


@pytest.mark.parametrize(
    "beginning",
    [
        b"\n" * 20_000,
        b"no boundary at all " * 1000,
        part("a") + b"--x\r\n" + b"X-A: b\r\n" * 20_000,
        b"".join(part(f"f{number}") for number in range(5000)),
    ],
    ids=["a preamble of empty lines", "a preamble", "a long head", "empty parts"],
)
async def test_a_form_that_leads_nowhere_is_refused_while_most_of_it_is_still_to_come(
    gateway: Gateway, customer: Customer, upstream: Upstream, beginning: bytes
) -> None:
    fields = f"X-Api-Key: {customer.key}\r\nContent-Type: {MULTIPART}\r\nHost: x\r\nContent-Length: 30000000"

    async with raw.connect(gateway.url) as client:
        reply = await client.ask(f"POST {PATH} HTTP/1.1\r\n{fields}\r\n\r\n".encode() + beginning)

    assert (reply.status, error(reply.body)["code"]) == (400, "invalid_request")
    assert upstream.seen == []
    assert (await customer.settled())["available"] == "100"


async def test_a_form_of_many_parts_lets_others_have_their_turns() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"".join(part(f"f{number}") for number in range(FIELDS_MAX)) + b"--x--\r\n"

    request = make_mocked_request("POST", PATH, {"Content-Type": MULTIPART})
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    with Budget(1000).share(1000) as share:
        beside = asyncio.create_task(other())
        await Form(request, chunks(), share).advance()
        beside.cancel()

    assert turns >= FIELDS_MAX


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", json.dumps({f"f{number}": "1" for number in range(FIELDS_MAX + 1)}).encode()),
        ("application/json", json.dumps({f"f{number}": 1 for number in range(FIELDS_MAX + 1)}).encode()),
        ("application/x-www-form-urlencoded", "&".join(f"f{number}=1" for number in range(FIELDS_MAX + 1)).encode()),
        (MULTIPART, b"".join(part(f"f{number}", "1") for number in range(FIELDS_MAX + 1)) + b"--x--\r\n"),
        ("application/json", b'{"size": [' + b"1," * 5000 + b"1]}"),
        ("application/json", b'{"size": [' + b'"",' * 5000 + b"1]}"),
    ],
    ids=["JSON", "JSON of numbers", "urlencoded", "multipart", "a list", "a list of texts"],
)
async def test_more_parameters_than_there_are_is_told_so(
    gateway: Gateway, customer: Customer, kind: str, body: bytes
) -> None:
    answer, told = await remove(customer, body, headers={"Content-Type": kind})

    assert (answer.status, error(told)["code"]) == (400, "invalid_request")
    assert error(told)["title"] == "Too many parameters given"


UNCLEAN: list[tuple[str, bytes]] = [
    ("application/json", rb'{"\ud800x": "1"}'),
    ("application/json", rb'{"size": "\ud800x"}'),
    ("application/json", rb'{"image_url": "https://example.com/\udfff"}'),
    ("application/json", b'{"image_file_b64": "QUJD", "bg_image_url": "https://example.com/\\ud800"}'),
    ("application/json", b'{"\xed\xa0\x80": "1"}'),
    ("application/x-www-form-urlencoded", b"caf%e9=1"),
    ("application/x-www-form-urlencoded", b"size=caf%e9"),
    (MULTIPART, part("caf").replace(b"caf", b"caf\xe9") + b"--x--\r\n"),
    (MULTIPART, part("size", "caf").replace(b"caf", b"caf\xe9") + b"--x--\r\n"),
]


@pytest.mark.parametrize(("kind", "body"), UNCLEAN)
async def test_what_is_no_clean_text_is_refused_as_their_clients_understand_it(
    gateway: Gateway, customer: Customer, upstream: Upstream, kind: str, body: bytes
) -> None:
    answer, told = await remove(customer, body, headers={"Content-Type": kind})

    assert (answer.status, error(told)["code"]) == (400, "invalid_request")
    assert upstream.seen == []
    assert (await customer.settled())["available"] == "100"


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Others hold all but 100,000 bytes; `undo` gives them back."""
    monkeypatch.setattr(GATHERED, "left", 100_000)
    return monkeypatch


@pytest.mark.parametrize("kind", ["JSON", "urlencoded", "multipart", "chunked"])
async def test_a_picture_in_base64_that_finds_no_room_is_503_for_a_while_and_costs_nothing(
    gateway: Gateway, customer: Customer, upstream: Upstream, full: pytest.MonkeyPatch, kind: str
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"{}"

    form = aiohttp.FormData(IN_BASE64, default_to_multipart=True)
    body = {"JSON": json.dumps(IN_BASE64), "urlencoded": IN_BASE64, "multipart": form, "chunked": chunks()}[kind]
    headers = {"Content-Type": "application/json"} if kind in {"JSON", "chunked"} else {}

    answer, told = await remove(customer, body, headers=headers)

    assert (answer.status, error(told)["code"]) == (503, "too_many_bodies")
    assert int(answer.headers["Retry-After"]) > 0
    assert upstream.seen == []
    assert GATHERED.left == 100_000
    assert (await customer.settled())["available"] == "100"


async def test_what_is_small_or_flows_needs_no_room(
    gateway: Gateway, customer: Customer, full: pytest.MonkeyPatch
) -> None:
    form = aiohttp.FormData()
    form.add_field("image_file", PICTURE, filename="a.jpg")

    flowing, _ = await remove(customer, form)
    small, _ = await remove(customer, json={"image_file_b64": "QUJD"})

    assert (flowing.status, small.status) == (200, 200)


async def test_the_room_is_given_back_once_the_worker_has_the_picture(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    gate = asyncio.Event()
    upstream.plan(WORKER, streams.gated(gate, answers.answer(200, b"cut-out", [("Content-Type", "image/png")])))

    call = asyncio.create_task(remove(customer, json=IN_BASE64))
    await upstream.until(lambda: bool(upstream.seen) and upstream.seen[-1].complete)
    while GATHERED.left < GATHERED.bytes_max:
        await asyncio.sleep(0.01)
    is_answered = call.done()
    gate.set()

    assert not is_answered
    assert (await call)[0].status == 200
    assert GATHERED.left == GATHERED.bytes_max


@pytest.mark.parametrize(
    "body", [json.dumps(IN_BASE64), '{"image_file_b64": "***"}', "{", json.dumps({**IN_BASE64, "size": "huge"})]
)
async def test_the_room_is_given_back_whatever_happens(
    gateway: Gateway, customer: Customer, upstream: Upstream, body: str
) -> None:
    upstream.plan(WORKER, faults.reset_at(10))

    answer, _ = await remove(customer, body, headers={"Content-Type": "application/json"})

    assert answer.status in {400, 502}
    assert GATHERED.left == GATHERED.bytes_max


def test_room_is_taken_once_and_given_back_once() -> None:
    budget = Budget(100)

    with budget.share(60) as share, budget.share(60) as other:
        share.take()
        share.take()
        assert budget.left == 40
        with pytest.raises(TooManyBodies):
            other.take()
        share.release()
        share.release()
        assert budget.left == 100

    with budget.share(1000) as larger_than_all:
        larger_than_all.take()
        assert budget.left == 0
    assert budget.left == 100


@pytest.mark.parametrize(
    "body", ["[]", '{"image_base64": [' + "1," * 5000 + "1]}", '{"image_base64": 1}', '{"\\ud800": 1}']
)
async def test_withoutbgs_contract_refuses_other_json(start: Start, upstream: Upstream, body: str) -> None:
    async with start(configuration(upstream_table(upstream.url), routes=WITHOUT_BG)) as gateway:
        customer = await gateway.customer()
        headers = {**customer.fields, "Content-Type": "application/json"}

        async with gateway.session.post(MATTE, data=body, headers=headers) as answer:
            told = await answer.json()

        assert (answer.status, told.keys()) == (400, {"error"})
        assert upstream.seen == []


async def test_withoutbgs_contract_keeps_to_the_same_room(
    start: Start, upstream: Upstream, full: pytest.MonkeyPatch
) -> None:
    upstream.plan("/v1/alpha", answers.answer(200, b"alpha", [("Content-Type", "image/png")]))
    body = {"image_base64": IN_BASE64["image_file_b64"]}
    async with start(configuration(upstream_table(upstream.url), routes=WITHOUT_BG)) as gateway:
        customer = await gateway.customer()

        async with gateway.session.post(MATTE, json=body, headers=customer.fields) as refused:
            told = await refused.json()
        full.undo()
        async with gateway.session.post(MATTE, json=body, headers=customer.fields) as served:
            await served.read()

        assert (refused.status, told.keys(), served.status) == (503, {"error"}, 200)
        assert int(refused.headers["Retry-After"]) > 0
        assert upstream.seen[0].upload.count == len(PICTURE)
        assert GATHERED.left == GATHERED.bytes_max
        assert (await customer.settled())["spent"] == "0.25"
