"""What remove.bg's clients send reaches the worker in the worker's own words, or is refused before it costs anything."""

import asyncio
import base64
import json
from typing import Any

import aiohttp
import pytest

from tests.conftest import Start
from tests.gateway import Customer, Gateway, configuration, upstream_table
from tests.peers import answers, raw
from tests.peers.upstream import Upstream
from tests.plugins.removebg.conftest import PATH, ROUTE, WORKER, error, remove, sent

PICTURE = bytes(range(256)) * 40 + b"\r\n--x\r\n"
BASE64 = base64.b64encode(PICTURE).decode()
URL = "https://example.com/a.jpg"
USUAL = {"size": b"preview", "format": b"auto"}


def form(
    *before: tuple[str, str], after: tuple[tuple[str, str], ...] = (), picture: bytes = PICTURE
) -> aiohttp.FormData:
    """A multipart form with a picture and fields on both sides of it."""
    data = aiohttp.FormData()
    for name, value in before:
        data.add_field(name, value)
    data.add_field("image_file", picture, filename="a.jpg", content_type="image/jpeg")
    for name, value in after:
        data.add_field(name, value)
    return data


@pytest.fixture(autouse=True)
def _worker(upstream: Upstream) -> None:
    upstream.plan(WORKER, answers.answer(200, b"cut-out", [("Content-Type", "image/png")]))


BODIES: list[tuple[str, dict[str, Any], dict[str, bytes]]] = [
    ("a file", {"data": form}, {"image": PICTURE}),
    ("a file before its fields", {"data": lambda: form(after=(("size", "hd"),))}, {"image": PICTURE, "size": b"hd"}),
    ("a file after its fields", {"data": lambda: form(("size", "hd"))}, {"image": PICTURE, "size": b"hd"}),
    ("base64 in a form", {"data": lambda: {"image_file_b64": BASE64, "size": "4k"}}, {"image": PICTURE, "size": b"full"}),
    ("base64 in JSON", {"json": lambda: {"image_file_b64": BASE64, "crop": True}}, {"image": PICTURE, "crop": b"true"}),
    ("an address in a form", {"data": lambda: {"image_url": URL}}, {"url": URL.encode()}),
    ("an address in JSON", {"json": lambda: {"image_url": URL, "bg_color": None}}, {"url": URL.encode()}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), [case[1:] for case in BODIES], ids=[case[0] for case in BODIES])
async def test_a_picture_reaches_the_worker_from_any_kind_of_body(
    gateway: Gateway, upstream: Upstream, body: dict[str, Any], expected: dict[str, bytes]
) -> None:
    customer = await gateway.customer()

    answer, result = await remove(customer, **{kind: make() for kind, make in body.items()})

    assert (answer.status, result) == (200, b"cut-out")
    assert sent(upstream.seen[0]) == USUAL | expected
    assert answer.headers["X-Credits-Charged"] == "0.25"
    assert (await customer.settled())["spent"] == "0.25"
    assert await gateway.violations() == {}


OPTIONS: list[tuple[dict[str, str], dict[str, bytes]]] = [
    ({"size": "small"}, {"size": b"preview"}),
    ({"size": "regular"}, {"size": b"preview"}),
    ({"size": "medium"}, {"size": b"medium"}),
    ({"size": "50MP"}, {"size": b"auto"}),
    ({"size": "auto"}, {"size": b"auto"}),
    ({"format": "zip"}, {"format": b"zip"}),
    ({"channels": "alpha"}, {"channels": b"alpha"}),
    ({"roi": "0% 0% 100px 50.5%"}, {"roi": b"0% 0% 100px 50.5%"}),
    ({"crop": "true", "crop_margin": "10px 5%"}, {"crop": b"true", "crop_margin": b"10px 5%"}),
    ({"crop": "false", "crop_margin": "10px"}, {"crop": b"false"}),
    ({"bg_color": "81d4fa77"}, {"bg_color": b"81d4fa77"}),
    ({"bg_color": "green"}, {"bg_color": b"green"}),
    ({"bg_image_url": URL}, {"bg_image": URL.encode()}),
    ({"scale": "original", "position": "original", "add_shadow": "false", "semitransparency": "true"}, {}),
    ({"type": "person", "type_level": "2", "shadow_method": "legacy"}, {}),
    ({"shadow_type": "none", "shadow_opacity": "50"}, {}),
    ({"scale": "100%"}, {}),
    ({"bg_color": "", "bg_image_url": "", "image_url": ""}, {}),
]


@pytest.mark.parametrize(("given", "expected"), OPTIONS, ids=[", ".join(given) for given, _ in OPTIONS])
async def test_options_are_said_in_the_workers_words(
    gateway: Gateway, upstream: Upstream, given: dict[str, str], expected: dict[str, bytes]
) -> None:
    customer = await gateway.customer()

    answer, _ = await remove(customer, form(*given.items()))

    assert answer.status == 200
    assert sent(upstream.seen[0]) == USUAL | {"image": PICTURE} | expected


async def test_a_background_file_goes_with_the_picture(gateway: Gateway, upstream: Upstream) -> None:
    customer = await gateway.customer()
    data = aiohttp.FormData({"image_file_b64": BASE64})
    data.add_field("bg_image_file", b"backdrop", filename="b.jpg")

    answer, _ = await remove(customer, data)

    assert answer.status == 200
    assert sent(upstream.seen[0]) == USUAL | {"image": PICTURE, "bg_image": b"backdrop"}


REFUSALS: list[tuple[dict[str, str], str]] = [
    ({"size": "huge"}, "invalid_size"),
    ({"format": "gif"}, "invalid_format"),
    ({"channels": "rgb"}, "invalid_channels"),
    ({"roi": "1 2 3"}, "invalid_roi"),
    ({"crop": "perhaps"}, "invalid_crop"),
    ({"crop": "true", "crop_margin": "much"}, "invalid_crop_margin"),
    ({"scale": "50%"}, "invalid_scale"),
    ({"position": "center"}, "invalid_position"),
    ({"add_shadow": "true"}, "invalid_add_shadow"),
    ({"semitransparency": "false"}, "invalid_semitransparency"),
    ({"bg_color": "#12"}, "invalid_bg_color"),
    ({"bg_color": "fff", "bg_image_url": URL}, "multiple_bg_sources"),
    ({"image_url": URL}, "multiple_sources"),
    ({"image_file_b64": BASE64}, "multiple_sources"),
    ({"sparkle": "1"}, "unknown_parameter"),
    ({"shadow_type": "drop", "shadow_opacity": "50"}, "invalid_shadow_type"),
]


@pytest.mark.parametrize("is_late", [False, True], ids=["before the file", "after the file"])
@pytest.mark.parametrize(("given", "code"), REFUSALS, ids=[" ".join([code, *given]) for given, code in REFUSALS])
async def test_what_cannot_be_had_is_refused_by_name_and_costs_nothing(
    gateway: Gateway, upstream: Upstream, given: dict[str, str], code: str, is_late: bool
) -> None:
    customer = await gateway.customer()

    answer, body = await remove(customer, form(after=tuple(given.items())) if is_late else form(*given.items()))

    assert answer.status == 400
    assert error(body)["code"] == code
    assert [seen for seen in upstream.seen if seen.complete] == []
    assert await customer.settled() == {"available": "100", "held": "0", "spent": "0", "granted": "100"}


UNREADABLE: list[tuple[str, bytes, str]] = [
    ("application/json", b"{", "invalid_request"),
    ("application/json", b"[]", "invalid_request"),
    ("application/json", b'{"image_url": ["x"]}', "invalid_image_url"),
    ("application/json", b"", "missing_source"),
    ("application/json", b'{"image_file_b64": "***"}', "failed_to_read_image"),
    ("application/json", b'{"image_file": "x"}', "invalid_image_file"),
    ("application/json", b'{"image_file_b64": "QUJD", "bg_image_file": "x"}', "invalid_bg_image_file"),
    ("application/x-www-form-urlencoded", b"image_file=x", "invalid_image_file"),
    ("application/x-www-form-urlencoded", b"image_file=&bg_image_file=", "missing_source"),
    ("application/x-www-form-urlencoded", b"size=auto", "missing_source"),
    ("application/x-www-form-urlencoded", b"size=auto&size=hd", "invalid_size"),
    ("application/x-www-form-urlencoded", b"\xff=1", "invalid_request"),
    ("multipart/form-data", b"--x--", "invalid_request"),
    ("multipart/form-data; boundary=x", b"", "invalid_request"),
    ("multipart/form-data; boundary=x", b"--x--\r\n", "missing_source"),
    ("multipart/form-data; boundary=x", b"no form", "invalid_request"),
    ("multipart/form-data; boundary=x", b"--x\r\n\r\nno name\r\n--x--\r\n", "invalid_request"),
    (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="image_file"; filename="a"\r\n\r\ncut short',
        "invalid_request",
    ),
]


@pytest.mark.parametrize(("kind", "sent_body", "code"), UNREADABLE)
async def test_a_body_that_cannot_be_read_is_refused_and_costs_nothing(
    gateway: Gateway, upstream: Upstream, kind: str, sent_body: bytes, code: str
) -> None:
    customer = await gateway.customer()

    answer, body = await remove(customer, sent_body, headers={"Content-Type": kind})

    assert (answer.status, error(body)["code"]) == (400, code)
    assert [seen for seen in upstream.seen if seen.complete] == []
    assert (await customer.settled())["available"] == "100"


async def test_an_address_needs_no_file_beside_it_where_a_browser_sends_an_empty_one(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    data = aiohttp.FormData({"image_url": URL})
    for name in ("image_file", "bg_image_file"):
        data.add_field(name, b"", filename="", content_type="application/octet-stream")

    answer, _ = await remove(customer, data)

    assert answer.status == 200
    assert sent(upstream.seen[0]) == USUAL | {"url": URL.encode()}


async def test_a_file_with_a_name_counts_though_it_is_empty(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    answer, _ = await remove(customer, form(picture=b""))

    assert answer.status == 200
    assert sent(upstream.seen[0]) == USUAL | {"image": b""}


@pytest.mark.parametrize("text", [f"data:image/png;base64,{BASE64}", BASE64.replace("+", "-").replace("/", "_")])
async def test_base64_may_be_a_data_url_or_safe_for_addresses(
    gateway: Gateway, customer: Customer, upstream: Upstream, text: str
) -> None:
    answer, _ = await remove(customer, json={"image_file_b64": text})

    assert answer.status == 200
    assert sent(upstream.seen[0]) == USUAL | {"image": PICTURE}


async def test_a_parameter_in_the_query_is_refused_by_name(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    answer, body = await remove(customer, form(), params={"size": "full"})

    assert (answer.status, error(body)["code"]) == (400, "unknown_parameter")
    assert "size" in error(body)["title"]
    assert upstream.seen == []
    assert (await customer.settled())["available"] == "100"


async def test_the_first_byte_of_a_file_reaches_the_worker_before_its_last_has_come(
    gateway: Gateway, upstream: Upstream
) -> None:
    customer = await gateway.customer()
    head = b'--x\r\nContent-Disposition: form-data; name="image_file"; filename="a"\r\n\r\n' + b"first" * 20_000
    tail = b"last\r\n--x--\r\n"
    fields = f"X-Api-Key: {customer.key}\r\nContent-Type: multipart/form-data; boundary=x\r\nHost: x"
    request = f"POST {PATH} HTTP/1.1\r\n{fields}\r\nContent-Length: {len(head + tail)}\r\n\r\n".encode()

    async with raw.connect(gateway.url) as client:
        await client.send(request + head)
        seen = await upstream.request()
        await upstream.until(lambda: seen.upload.count > 50_000)
        is_whole = seen.complete
        await client.send(tail)
        reply = await client.reply()

    assert not is_whole
    assert reply.status == 200
    assert seen.complete


async def test_a_small_form_is_sent_again_to_a_worker_that_was_starting(start: Start, upstream: Upstream) -> None:
    upstream.plan(WORKER, answers.starting(), answers.answer(200, b"cut-out", [("Content-Type", "image/png")]))
    upstream.plan("/ready", answers.answer(200))
    table = upstream_table(upstream.url, settings='wake = { path = "/ready", seconds = 10 }')
    async with start(configuration(table, routes=ROUTE)) as gateway:
        customer = await gateway.customer()

        answer, _ = await remove(customer, form(("size", "hd"), after=(("crop", "true"),)))

        assert answer.status == 200
        first, again = (seen for seen in upstream.seen if seen.path == WORKER)
        assert sent(first) == sent(again) == USUAL | {"image": PICTURE, "size": b"hd", "crop": b"true"}
        assert (await customer.settled())["spent"] == "0.25"


async def test_the_same_call_again_is_paid_for_once(gateway: Gateway, upstream: Upstream) -> None:
    customer = await gateway.customer()
    body = json.dumps({"image_url": URL})
    headers = {"Content-Type": "application/json", "Idempotency-Key": "order-17"}

    first, _ = await remove(customer, body, headers=headers)
    async with asyncio.timeout(10):
        while await gateway.pool.fetchval("SELECT count(*) FROM idempotency_keys WHERE delivered IS NULL"):
            await asyncio.sleep(0.01)
    again, told = await remove(customer, body, headers=headers)

    assert (first.status, again.status) == (200, 409)
    assert error(told)["code"] == "idempotency_key_done"
    assert (await customer.settled())["spent"] == "0.25"


async def test_the_caller_s_own_fields_stay_here(gateway: Gateway, upstream: Upstream, customer: Customer) -> None:
    await remove(customer, form(), headers={"X-Trace": "1", "Accept": "image/*", "Modal-Key": "forged"})

    names = {name.decode().lower() for name, _ in upstream.seen[0].headers}
    assert names == {
        "host", "accept", "content-type", "transfer-encoding", "x-request-id", "x-nijika-account",
        "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded",
    }  # fmt: skip
