"""The document tells what can be called, at which price, and exactly what can go wrong."""

import json
import re
from urllib.parse import quote

import jsonschema  # type: ignore[import-untyped] # stubs would be one more package, for two calls
import openapi_spec_validator
import pytest

from nijika.errors import BadPath
from nijika.proxy.path import canonical
from nijika.state import PUBLIC_URL
from tests.browsing import SESSION_CHAIN
from tests.conftest import Start
from tests.gateway import Gateway, configuration, upstream_table
from tests.peers import answers
from tests.peers.upstream import Upstream
from tests.plugins.openapi.conftest import ROUTES
from tests.plugins.openapi.reading import codes, document, name, operations


async def test_the_document_is_valid_and_whole(site: Gateway) -> None:
    found = await document(site)

    openapi_spec_validator.validate(found)
    assert found["openapi"].startswith("3.1.")
    assert found["info"]["title"] == "Pictures"
    assert found["servers"] == [{"url": site.app[PUBLIC_URL]}]
    ids = [operation["operationId"] for _, operation in operations(found)]
    assert len(set(ids)) == len(ids)


async def test_it_has_every_call_of_programs_and_no_page(site: Gateway) -> None:
    found = await document(site)

    assert {name for name, _ in operations(found)} == {
        "GET /api/account",
        "GET /api/charges/{id}",
        "GET /api/usage",
        "GET /files/{rest}",
        "GET /health",
        "GET /openapi.json",
        "GET /ready",
        "HEAD /files/{rest}",
        "POST /api/removebg",
        "POST /api/write",
        "POST /mix/{colour}",
        "PUT /files/{rest}",
    }


ALWAYS = {"400": {"bad-request", "bad-path", "bad-host"}, "417": {"expectation-failed"}, "500": {"internal-error"}}
KEY = {"401": {"missing-key", "invalid-key"}, "403": {"account-suspended", "key-out-of-scope"}}
OUTAGE = {"503": {"ledger-unavailable"}}
LIMIT = {"429": {"too-many-requests"}}
BODY = {"408": {"request-timeout"}, "413": {"body-too-large"}}
WORKER = {"502": {"upstream-failed"}, "503": {"upstream-unavailable"}, "504": {"upstream-timeout"}}
PRICED = {
    "400": ALWAYS["400"] | {"bad-parameter"},
    "402": {"insufficient-credits", "key-spend-cap"},
    "409": {"idempotency-key-in-flight", "idempotency-key-done"},
    "422": {"idempotency-key-reused"},
    "503": {"ledger-unavailable", "ledger-busy", "charge-unknown", "charge-lost"},
}
SOLD = ALWAYS | KEY | LIMIT | BODY | WORKER | PRICED | {"503": PRICED["503"] | WORKER["503"]}


@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [
        ("/health", "get", ALWAYS),
        ("/ready", "get", ALWAYS),
        ("/openapi.json", "get", ALWAYS),
        ("/api/account", "get", ALWAYS | KEY | LIMIT | OUTAGE),
        ("/api/usage", "get", ALWAYS | KEY | LIMIT | OUTAGE | {"400": ALWAYS["400"] | {"bad-parameter"}}),
        ("/api/charges/{id}", "get", ALWAYS | KEY | LIMIT | OUTAGE | {"404": {"not-found"}}),
        ("/api/removebg", "post", SOLD),
        ("/api/write", "post", SOLD | {"415": {"unsupported-type"}}),
        ("/files/{rest}", "put", ALWAYS | BODY | WORKER),
        ("/mix/{colour}", "post", ALWAYS | KEY | BODY | PRICED),
    ],
)
async def test_each_call_tells_exactly_the_problems_that_it_can_give(
    site: Gateway, path: str, method: str, expected: dict[str, set[str]]
) -> None:
    found = await document(site)

    assert codes(found["paths"][path][method]) == expected


async def test_what_really_goes_wrong_stands_there(site: Gateway, upstream: Upstream) -> None:
    rich, poor, bound = await site.customer("100"), await site.customer("0"), await site.customer(scopes=["/none"])
    suspended = await site.customer()
    await site.pool.execute("UPDATE accounts SET suspended_at = now() WHERE id = $1", suspended.account)
    upstream.plan("/v1/cutout", answers.answer(200, b"ok"), answers.answer(500), answers.starting())
    upstream.plan("/api/write", answers.answer(200, b"ok"))
    repeated = {**rich.fields, "Idempotency-Key": "a"}
    calls = [
        ("/api/removebg", "post", {}, b"p"),
        ("/api/removebg", "post", {"X-API-Key": "nonsense"}, b"p"),
        ("/api/removebg", "post", bound.fields, b"p"),
        ("/api/removebg", "post", suspended.fields, b"p"),
        ("/api/removebg", "post", poor.fields, b"p"),
        ("/api/removebg", "post", rich.fields, b"p" * 1001),
        ("/api/removebg", "post", {**rich.fields, "Idempotency-Key": ""}, b"p"),
        ("/api/removebg", "post", repeated, b"p"),
        ("/api/removebg", "post", repeated, b"p"),
        ("/api/removebg", "post", repeated, b"q"),
        ("/api/removebg", "post", rich.fields, b"p"),
        ("/api/removebg", "post", rich.fields, b"p"),
        ("/api/write", "post", {**rich.fields, "Content-Type": "image/png"}, b"p"),
        ("/api/usage?days=0", "get", rich.fields, b""),
        ("/api/charges/x", "get", rich.fields, b""),
    ]
    found = await document(site)

    seen = []
    for path, method, fields, body in calls:
        named = path.partition("?")[0].replace("/charges/x", "/charges/{id}")
        async with site.session.request(method, path, headers=fields, data=body or None) as answer:
            problem = await answer.json(content_type=None) if answer.status >= 400 else {"code": "ok"}
        seen.append((answer.status, problem["code"]))
        if answer.status >= 400:
            assert problem["code"] in codes(found["paths"][named][method])[str(answer.status)]
            jsonschema.validate(problem, {**found, "$ref": "#/components/schemas/Problem"})

    assert [status for status, _ in seen] == [401, 401, 403, 403, 402, 413, 400, 200, 409, 422, 502, 503, 415, 400, 404]


async def test_answers_are_what_the_document_says(site: Gateway, upstream: Upstream) -> None:
    customer = await site.customer()
    upstream.plan("*", answers.answer(200, b"ok", [("Content-Type", "image/png")]), answers.answer(500))
    found = await document(site)
    charges = []
    for _ in range(2):
        async with site.session.post("/api/removebg", data=b"p", headers=customer.fields) as answer:
            await answer.read()
        charges.append(answer.headers["X-Request-ID"])
    await customer.settled()
    paths = {f"/api/charges/{charge}": "/api/charges/{id}" for charge in charges}
    paths |= {path: path for path in ("/api/account", "/api/usage", "/health", "/ready")}

    for path, named in paths.items():
        async with site.session.get(path, headers=customer.fields) as answer:
            told = await answer.json()
        content = found["paths"][named]["get"]["responses"]["200"]["content"]["application/json"]
        jsonschema.validate(told, {**found, **content["schema"]})
        assert set(told) == set(
            found["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]["properties"]
        )


async def test_the_fields_of_an_answer_are_those_that_come(site: Gateway, upstream: Upstream) -> None:
    customer = await site.customer()
    upstream.plan("*", answers.answer(200, b"ok"))
    found = await document(site)

    async with site.session.post("/api/removebg", data=b"p", headers=customer.fields) as answer:
        promised = found["paths"]["/api/removebg"]["post"]["responses"]["200"]["headers"]

    assert set(promised) <= set(answer.headers)
    assert {"X-Request-ID", "X-Credits-Charged", "X-Credits-Remaining", "RateLimit", "Server-Timing"} <= set(promised)
    assert all(found["components"]["headers"][name(told)]["required"] for told in promised.values())


async def test_a_problem_promises_only_the_fields_that_it_always_has(site: Gateway) -> None:
    found = await document(site)

    responses = found["paths"]["/api/removebg"]["post"]["responses"]
    sure = {
        status: {field for field, told in responses[status]["headers"].items() if name(told).endswith(".always")}
        for status in responses
    }
    assert sure["401"] == {"X-Request-ID", "WWW-Authenticate"}
    assert sure["429"] == {"X-Request-ID", "Retry-After"}
    assert sure["502"] == {"X-Request-ID"}
    assert sure["4XX"] == sure["200"]
    assert {"X-Credits-Charged", "RateLimit"} <= set(responses["502"]["headers"])


async def test_a_bound_on_calls_under_way_alone_promises_no_rate(start: Start) -> None:
    chain = '[[middlewares]]\nuse = "rate_limit"\nrules = [{ prefix = "/", concurrency = 5 }]\n' + SESSION_CHAIN
    async with start(configuration(upstream_table("http://127.0.0.1:9"), chain=chain, routes=ROUTES)) as gateway:
        responses = (await document(gateway))["paths"]["/api/account"]["get"]["responses"]

    assert "429" in responses
    assert "RateLimit" not in responses["200"]["headers"]


async def test_a_rule_for_some_paths_of_a_route_is_told_of(start: Start) -> None:
    rules = 'rules = [{ prefix = "/files/big/", limit = "5/s" }, { prefix = "/mix/red/deep", limit = "5/s" }]'
    chain = f'[[middlewares]]\nuse = "rate_limit"\n{rules}\n{SESSION_CHAIN}'
    async with start(configuration(upstream_table("http://127.0.0.1:9"), chain=chain, routes=ROUTES)) as gateway:
        paths = (await document(gateway))["paths"]

    assert codes(paths["/files/{rest}"]["get"])["429"] == {"too-many-requests"}
    assert "RateLimit" not in paths["/files/{rest}"]["get"]["responses"]["2XX"]["headers"]
    assert "429" not in paths["/mix/{colour}"]["post"]["responses"]


async def test_a_browsers_page_stands_beside_the_problem(site: Gateway) -> None:
    found = await document(site)
    async with site.session.get("/api/account", headers={"Accept": "text/html"}) as answer:
        kind = answer.content_type

    told = found["paths"]["/api/account"]["get"]["responses"][str(answer.status)]["content"]
    assert kind in told
    assert list(told) == ["application/problem+json", "text/html"]


async def test_a_worker_may_tell_of_problems_in_its_own_words(site: Gateway, upstream: Upstream) -> None:
    customer = await site.customer()
    own = b'{"title": "No verse", "status": 409, "code": "no-verse"}'
    upstream.plan("/api/write", answers.answer(409, own, [("Content-Type", "application/problem+json")]))
    found = await document(site)

    fields = {**customer.fields, "Content-Type": "text/plain"}
    async with site.session.post("/api/write", data=b"p", headers=fields) as answer:
        problem = await answer.json(content_type=None)

    responses = found["paths"]["/api/write"]["post"]["responses"]
    jsonschema.validate(problem, {**found, **responses["409"]["content"]["application/problem+json"]["schema"]})
    # These are never the worker's.
    assert {status: "*/*" in responses[status]["content"] for status in ("401", "409", "429", "502")} == {
        "401": False,
        "409": True,
        "429": False,
        "502": False,
    }


async def test_answers_without_content_are_told_of(site: Gateway) -> None:
    paths = (await document(site))["paths"]

    bare = {
        f"{method} {path}": {status for status, told in operation["responses"].items() if "content" not in told}
        for path, methods in paths.items()
        for method, operation in methods.items()
    }
    assert {operation: statuses for operation, statuses in bare.items() if statuses} == {
        "get /openapi.json": {"304"},
        "get /files/{rest}": {"204", "304"},
        "head /files/{rest}": set(paths["/files/{rest}"]["head"]["responses"]),
        "put /files/{rest}": {"204"},
        "post /api/write": {"204"},
        "post /mix/{colour}": {"204"},
    }


async def test_a_variable_of_a_path_takes_what_the_path_takes(site: Gateway) -> None:
    paths = (await document(site))["paths"]
    (segment,) = (it for it in paths["/mix/{colour}"]["post"]["parameters"] if it.get("in") == "path")
    (rest,) = paths["/files/{rest}"]["get"]["parameters"]

    texts = ["a", "ä ö", "...", ".a", "a..", ".", "..", "", "a\\b", "a;b", "a\tb", "a/b", "a/", "//", "a/../b"]
    taken = {text: text != "" and is_path(f"/files/{quote(text)}") for text in texts}
    assert {text: bool(re.search(rest["schema"]["pattern"], text)) for text in texts} == taken
    assert {text: bool(re.search(segment["schema"]["pattern"], text)) for text in texts} == {
        text: is_taken and "/" not in text for text, is_taken in taken.items()
    }


def is_path(text: str) -> bool:
    try:
        return bool(canonical(text))
    except BadPath:
        return False


async def test_an_idempotency_key_is_told_of_as_it_is_taken(site: Gateway, upstream: Upstream) -> None:
    customer = await site.customer()
    upstream.plan("*", answers.answer(200, b"ok"))
    pattern = (await document(site))["components"]["parameters"]["IdempotencyKey"]["schema"]["pattern"]

    statuses = {}
    for text in ("a", "a b", "~!", " ", "ä", "a\tb"):
        fields = {**customer.fields, "Idempotency-Key": text}
        async with site.session.post("/api/removebg", data=b"p", headers=fields) as answer:
            statuses[text] = answer.status

    assert {text: status == 200 for text, status in statuses.items()} == {
        text: bool(re.search(pattern, text)) for text in statuses
    }


async def test_without_a_rule_nobody_is_told_of_limits(start: Start) -> None:
    text = configuration(upstream_table("http://127.0.0.1:9"), chain=SESSION_CHAIN, routes=ROUTES)
    async with start(text) as gateway:
        found = await document(gateway)

    assert all("429" not in operation["responses"] for _, operation in operations(found))
    assert "RateLimit" not in json.dumps([operation["responses"] for _, operation in operations(found)])


async def test_prices_are_told_for_programs_and_in_words(site: Gateway) -> None:
    paths = (await document(site))["paths"]

    fixed, metered, free = paths["/api/removebg"]["post"], paths["/api/write"]["post"], paths["/files/{rest}"]["put"]
    assert fixed["x-price"] == {"credits": "1", "metered": False, "text": "1 credit"}
    assert metered["x-price"] == {"credits": "2", "metered": True, "text": "at most 2 credits, by use"}
    assert free["x-price"] == {"credits": "0", "metered": False, "text": "free"}
    assert "A success costs 1 credit" in fixed["description"]
    assert "This call is free." in free["description"]
    idempotency = {"$ref": "#/components/parameters/IdempotencyKey"}
    assert [idempotency in it["parameters"] for it in (fixed, metered, free)] == [True, True, False]


async def test_only_calls_that_need_a_key_ask_for_one(site: Gateway) -> None:
    found = await document(site)

    needing = {name for name, operation in operations(found) if operation["security"]}
    assert needing == {
        "GET /api/account",
        "GET /api/charges/{id}",
        "GET /api/usage",
        "POST /api/removebg",
        "POST /api/write",
        "POST /mix/{colour}",
    }
    assert set(found["components"]["securitySchemes"]) == {"ApiKey", "Bearer"}


async def test_what_is_sent_is_told_with_its_bounds(site: Gateway) -> None:
    paths = (await document(site))["paths"]

    picture, typed, any_body = (
        paths[path][m] for path, m in (("/api/removebg", "post"), ("/api/write", "post"), ("/files/{rest}", "put"))
    )
    assert set(picture["requestBody"]["content"]) == {"image/*", "multipart/form-data", "application/json"}
    assert picture["x-body-bytes-max"] == 1000
    assert set(picture["responses"]["200"]["content"]) == {"image/png", "image/webp"}
    assert set(typed["requestBody"]["content"]) == {"application/json", "text/*"}
    assert set(any_body["requestBody"]["content"]) == {"*/*"}
    assert [it["name"] for it in any_body["parameters"]] == ["rest"]
    assert "requestBody" not in paths["/files/{rest}"]["get"]


async def test_the_operators_words_stand_there_and_else_the_docstring(site: Gateway) -> None:
    paths = (await document(site))["paths"]

    assert paths["/api/removebg"]["post"]["summary"] == "Remove the background"
    assert paths["/api/removebg"]["post"]["description"].startswith("Hair too.")
    assert paths["/mix/{colour}"]["post"]["summary"] == "Mix a colour"
    assert paths["/api/write"]["post"]["summary"] == "POST /api/write"


async def test_paths_that_differ_in_names_only_are_one_path(start: Start) -> None:
    routes = "".join(
        f'[[routes]]\nuse = "proxy"\npath = "/a/{{{name}}}"\nmethods = ["{method}"]\nupstream = "worker"\nprice = "free"\n'
        for name, method in (("one", "GET"), ("two", "POST"))
    )
    text = configuration(
        upstream_table("http://127.0.0.1:9"), chain=SESSION_CHAIN, routes='[[routes]]\nuse = "openapi"\n' + routes
    )
    async with start(text) as gateway:
        found = await document(gateway)

    openapi_spec_validator.validate(found)
    assert set(found["paths"]) == {"/openapi.json", "/a/{one}"}
    assert [it["name"] for it in found["paths"]["/a/{one}"]["post"]["parameters"]] == ["one"]


async def test_the_document_is_cached_and_open_to_tools_of_other_sites(site: Gateway) -> None:
    async with site.session.get("/openapi.json") as first:
        pass
    async with site.session.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]}) as again:
        body = await again.read()

    assert first.headers["Access-Control-Allow-Origin"] == "*"
    assert (again.status, body) == (304, b"")
    assert again.headers["Cache-Control"] == first.headers["Cache-Control"] == "public, max-age=300"
