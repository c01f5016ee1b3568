"""What remove.bg's clients get back: pictures, JSON, errors in their form, and the account."""

import base64
import json
import time

import aiohttp
import pytest

from tests.conftest import Start
from tests.gateway import Customer, Gateway, configuration, upstream_table
from tests.peers import answers, faults
from tests.peers.upstream import Upstream
from tests.plugins.removebg.conftest import ACCOUNT, LIMITED, PATH, ROUTE, WORKER, error, remove

PICTURE = {"image_url": "https://example.com/a.jpg"}
HEADERS = [("Content-Type", "image/png"), ("X-Width", "625"), ("X-Height", "400"), ("X-Engine", "classic")]
FOREGROUND = [(f"X-Foreground-{side}", str(at)) for at, side in enumerate(("Top", "Left", "Width", "Height"), 10)]


async def test_a_picture_comes_with_their_fields(gateway: Gateway, customer: Customer, upstream: Upstream) -> None:
    upstream.plan(WORKER, answers.answer(200, b"cut-out", [*HEADERS, *FOREGROUND]))

    answer, body = await remove(customer, PICTURE)

    assert (answer.status, answer.content_type, body) == (200, "image/png", b"cut-out")
    told = {name: answer.headers[name] for name in ("X-Credits-Charged", "X-Width", "X-Height", "X-Type")}
    assert told == {"X-Credits-Charged": "0.25", "X-Width": "625", "X-Height": "400", "X-Type": "other"}
    assert [(name, answer.headers[name]) for name, _ in FOREGROUND] == FOREGROUND


async def test_who_wants_no_type_gets_none(gateway: Gateway, customer: Customer, upstream: Upstream) -> None:
    upstream.plan(WORKER, answers.answer(200, b"cut-out", HEADERS))

    answer, _ = await remove(customer, {**PICTURE, "type_level": "none"})

    assert "X-Type" not in answer.headers


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 200_001])
@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
async def test_who_asks_for_json_gets_the_picture_in_base64_and_pays_as_much(
    gateway: Gateway, customer: Customer, upstream: Upstream, length: int, chunked: bool
) -> None:
    picture = bytes(index % 251 for index in range(length))
    upstream.plan(WORKER, answers.answer(200, picture, [*HEADERS, *FOREGROUND], chunked=chunked))

    answer, body = await remove(customer, PICTURE, headers={"Accept": "application/json"})

    assert (answer.status, answer.content_type) == (200, "application/json")
    assert ("Content-Length" in answer.headers) is not chunked
    data = json.loads(body)["data"]
    assert base64.b64decode(data.pop("result_b64")) == picture
    assert data == {f"foreground_{side}": at for at, side in enumerate(("top", "left", "width", "height"), 10)}
    assert answer.headers["X-Credits-Charged"] == "0.25"
    assert (await customer.settled())["spent"] == "0.25"
    assert await gateway.violations() == {}


async def test_a_result_that_breaks_off_at_once_is_502_and_costs_nothing(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    upstream.plan(WORKER, faults.reset_at(10))

    answer, body = await remove(customer, PICTURE, headers={"Accept": "application/json"})

    assert (answer.status, error(body)["code"]) == (502, "upstream_failed")
    assert (await customer.settled())["available"] == "100"


async def test_a_metered_route_costs_what_the_worker_reports(start: Start, upstream: Upstream) -> None:
    upstream.plan(WORKER, answers.answer(200, b"cut-out", [*HEADERS, ("X-Nijika-Cost", "0.1")]))
    route = ROUTE.replace('"0.25"', '{ hold = "1", capture = "X-Nijika-Cost" }')
    async with start(configuration(upstream_table(upstream.url), routes=route)) as gateway:
        customer = await gateway.customer()

        answer, _ = await remove(customer, PICTURE, headers={"Accept": "application/json"})

        assert answer.headers["X-Credits-Charged"] == "0.1"
        assert "X-Nijika-Cost" not in answer.headers
        assert (await customer.settled())["spent"] == "0.1"


WORKERS: list[tuple[int, str, str, str]] = [
    (415, "not-an-image", "The bytes are no picture.", "invalid_file_type"),
    (422, "truncated-image", "The picture is damaged.", "failed_to_read_image"),
    (413, "too-many-pixels", "The picture has too many.", "resolution_too_high"),
    (413, "body-too-large", "The body is too large.", "file_too_large"),
    (413, "fetch-too-large", "The file is too large.", "file_too_large"),
    (400, "bad-url", "The url cannot be read.", "invalid_image_url"),
    (403, "private-address", "The url is private.", "invalid_image_url"),
    (422, "fetch-failed", "The url could not be fetched.", "failed_image_download"),
    (400, "no-image", "The request has no picture.", "missing_source"),
    (422, "no-foreground", "Nothing stands out.", "unknown_foreground"),
    (400, "bad-option", 'The option "roi" takes four lengths.', "invalid_roi"),
    (400, "unknown-option", 'There is no option "channels". Known options: format.', "invalid_channels"),
    (400, "odd", "Something else.", "odd"),
]


@pytest.mark.parametrize(("status", "ours", "detail", "code"), WORKERS, ids=[ours for _, ours, _, _ in WORKERS])
async def test_a_refusal_by_the_worker_is_a_400_with_their_code_and_costs_nothing(
    gateway: Gateway, customer: Customer, upstream: Upstream, status: int, ours: str, detail: str, code: str
) -> None:
    problem = json.dumps({"status": status, "title": "x", "code": ours, "detail": detail}).encode()
    upstream.plan(WORKER, answers.answer(status, problem, [("Content-Type", "application/problem+json")]))

    answer, body = await remove(customer, PICTURE)

    told = error(body)
    assert (answer.status, told["code"]) == (400, code)
    assert detail in (told.get("detail"), told["title"])
    assert (await customer.settled())["available"] == "100"
    assert await gateway.violations() == {}


@pytest.mark.parametrize(
    ("status", "ours", "detail"),
    [
        (422, "bad-backdrop", "The backdrop is no picture."),
        (400, "bad-option", 'The option "bg_image" takes one address.'),
    ],
)
@pytest.mark.parametrize("parameter", ["bg_image_url", "bg_image_file"])
async def test_what_is_wrong_with_the_background_is_not_blamed_on_the_picture(
    gateway: Gateway, customer: Customer, upstream: Upstream, parameter: str, status: int, ours: str, detail: str
) -> None:
    problem = json.dumps({"status": status, "title": "x", "code": ours, "detail": detail}).encode()
    upstream.plan(WORKER, answers.answer(status, problem, [("Content-Type", "application/problem+json")]))
    data = aiohttp.FormData({"image_file_b64": "QUJD"})
    if parameter == "bg_image_file":
        data.add_field(parameter, b"no picture", filename="a.txt")
    else:
        data.add_field(parameter, "https://example.com/b.jpg")

    answer, body = await remove(customer, data)

    assert (answer.status, error(body)["code"]) == (400, f"invalid_{parameter}")
    assert error(body)["detail"] == detail
    assert (await customer.settled())["available"] == "100"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json, text/plain, */*", "image/png"),
        ("image/png, application/json;q=0.1", "image/png"),
        ("application/json;q=0, image/*", "image/png"),
        ("application/json", "application/json"),
    ],
)
async def test_pictures_come_unless_json_is_asked_for(
    gateway: Gateway, customer: Customer, upstream: Upstream, accept: str, kind: str
) -> None:
    upstream.plan(WORKER, answers.answer(200, b"cut-out", HEADERS))

    answer, _ = await remove(customer, PICTURE, headers={"Accept": accept})

    assert (answer.status, answer.content_type) == (200, kind)


@pytest.mark.parametrize(("method", "path"), [("GET", PATH), ("POST", ACCOUNT)])
async def test_a_wrong_method_is_told_in_their_form(gateway: Gateway, method: str, path: str) -> None:
    async with gateway.session.request(method, path) as answer:
        told = error(await answer.read())

    assert (answer.status, told["code"]) == (405, "method_not_allowed")


async def test_a_4xx_that_is_not_the_workers_own_is_502(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    upstream.plan(WORKER, answers.answer(404, b"modal-http: app for invoked web endpoint is stopped"))

    answer, body = await remove(customer, PICTURE)

    assert (answer.status, error(body)["code"]) == (502, "upstream_failed")
    assert b"modal" not in body
    assert (await customer.settled())["available"] == "100"


async def test_without_a_key_or_with_a_wrong_one_it_is_403_auth_failed(gateway: Gateway) -> None:
    bare = Customer(gateway, 0, "")
    for path, headers, title in [
        (PATH, {}, "Missing API Key"),
        (PATH, {"X-Api-Key": "nonsense"}, "API Key invalid"),
        (ACCOUNT, {"X-Api-Key": "nonsense"}, "API Key invalid"),
    ]:
        method = "GET" if path == ACCOUNT else "POST"
        async with bare.gateway.session.request(
            method, path, data=PICTURE if method == "POST" else None, headers=headers
        ) as answer:
            told = error(await answer.read())

        assert (answer.status, told["code"], told["title"]) == (403, "auth_failed", title)
        assert "WWW-Authenticate" not in answer.headers


async def test_a_key_for_other_routes_is_403_auth_failed(gateway: Gateway) -> None:
    customer = await gateway.customer(scopes=["/api/removebg"])

    answer, body = await remove(customer, PICTURE)

    assert (answer.status, error(body)["code"]) == (403, "auth_failed")


async def test_too_little_credit_is_402_insufficient_credits(gateway: Gateway, upstream: Upstream) -> None:
    customer = await gateway.customer("0.2")

    answer, body = await remove(customer, PICTURE)

    assert (answer.status, error(body)["code"]) == (402, "insufficient_credits")
    assert "0.25" in error(body)["detail"]
    assert upstream.seen == []


async def test_too_fast_is_429_with_their_fields_and_so_is_every_other_answer(start: Start, upstream: Upstream) -> None:
    upstream.plan(WORKER, answers.answer(200, b"cut-out", HEADERS))
    async with start(configuration(upstream_table(upstream.url), chain=LIMITED, routes=ROUTE)) as gateway:
        customer = await gateway.customer()
        before = int(time.time())

        served, refused, shed = [await remove(customer, data) for data in (PICTURE, {"size": "huge"}, PICTURE)]

        assert [answer.status for answer, _ in (served, refused, shed)] == [200, 400, 429]
        assert error(shed[1])["code"] == "rate_limit_exceeded"
        assert int(shed[0].headers["Retry-After"]) > 0
        for answer, _ in (served, refused, shed):
            assert answer.headers["X-RateLimit-Limit"] == "2"
            assert before <= int(answer.headers["X-RateLimit-Reset"]) <= before + 1000
        assert (await customer.settled())["spent"] == "0.25"


async def test_a_worker_that_is_busy_is_503_in_their_form(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    upstream.plan(WORKER, answers.starting("9"))

    answer, body = await remove(customer, PICTURE)

    assert (answer.status, error(body)["code"]) == (503, "upstream_unavailable")
    assert answer.headers["Retry-After"] == "9"
    assert (await customer.settled())["available"] == "100"


async def test_a_body_that_is_too_large_is_400_file_too_large(start: Start, upstream: Upstream) -> None:
    route = f"{ROUTE}body_bytes_max = 1000\n"
    async with start(configuration(upstream_table(upstream.url), routes=route)) as gateway:
        customer = await gateway.customer()

        answer, body = await remove(customer, {"image_file_b64": "x" * 2000})

        assert (answer.status, error(body)["code"]) == (400, "file_too_large")


async def test_a_browser_gets_their_form_too(gateway: Gateway, customer: Customer) -> None:
    answer, body = await remove(customer, {"size": "huge"}, headers={"Accept": "text/html"})

    assert (answer.content_type, error(body)["code"]) == ("application/json", "missing_source")


async def test_the_account_has_their_shape_and_our_balance(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    upstream.plan(WORKER, answers.answer(200, b"cut-out", HEADERS))
    await remove(customer, PICTURE)
    await customer.settled()

    async with gateway.session.get(ACCOUNT, headers=customer.fields) as answer:
        account = await answer.json()

    attributes = account["data"]["attributes"]
    assert attributes["credits"] == {"total": 99.75, "subscription": 0, "payg": 99.75, "enterprise": 0}
    assert attributes["api"] == {"free_calls": 0, "sizes": "all"}


async def test_other_routes_keep_our_own_form(gateway: Gateway) -> None:
    async with gateway.session.get("/v1.0/elsewhere") as answer:
        assert answer.content_type == "application/problem+json"
