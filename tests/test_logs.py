"""The log: both forms, on the wire and by themselves; nobody outside can write a line, or colour one."""

import asyncio
import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from nijika import logs, request_id
from nijika.database import open_pool
from nijika.errors import LedgerUnavailable
from nijika.ledger import Hold, Ledger, coordinator
from nijika.logs import Form
from tests.conftest import Start
from tests.gateway import ROUTES, Gateway, configuration, upstream_table
from tests.peers import answers, faults, raw
from tests.peers.upstream import Upstream

FORMS: list[Form] = ["text", "json"]
HOSTILE = [
    "a\nb",
    "a\r\n2026-01-01 00:00:00,000 ERROR nijika: all is lost",
    "\x1b[2J\x1b[31mred\x1b]0;title\x07",
    "c1 \x9b31m \x85 next",
    "\u2028\u2029\v\f\x1c\x1d\x1e",
    "\u202egnihtyna\u202c \u2066x\u2069",
    "\x7f\x00\ud800",
]
RAW = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
BEGIN = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ [\w.]+: ")
CHAIN = """
[[middlewares]]
use = "real_ip"
trusted_proxies = ["127.0.0.0/8"]
[[middlewares]]
use = "session"
[[middlewares]]
use = "api_key"
[[middlewares]]
use = "pricing"
"""
PAINT = """
[[routes]]
use = "tests.plugin:Paint"
colour = "red"
"""
LOGIN = '[login]\ngithub = { client_id = "shop", client_secret = "hunter2 for the provider" }\n'
SIGN_IN = ROUTES + '[[routes]]\nuse = "login"\n[[routes]]\nuse = "dashboard"\n'
OWN = "aiohttp.access", "nijika"

Written = Callable[[], list[str]]
Writing = Callable[[Form], AbstractContextManager[Written]]


@contextmanager
def written(form: Form) -> Iterator[Written]:
    """All lines that nijika and aiohttp write during the block, as an operator sees them."""
    stream = io.StringIO()
    made = logs.handler(form, stream)
    made.addFilter(lambda record: record.name.startswith(OWN))
    root = logging.getLogger()
    level = root.level
    root.addHandler(made)
    root.setLevel(logging.INFO)
    try:
        yield lambda: stream.getvalue().split("\n")[:-1]
    finally:
        root.removeHandler(made)
        root.setLevel(level)


@contextmanager
def direct(form: Form) -> Iterator[tuple[logging.Logger, Written]]:
    """A logger of the test's own."""
    stream = io.StringIO()
    logger = logging.Logger("nijika.test")
    logger.addHandler(logs.handler(form, stream))
    yield logger, lambda: stream.getvalue().split("\n")[:-1]


async def until(lines: Written, text: str) -> str:
    """The first line with this text in it; a line may come after the answer that it tells of."""
    async with asyncio.timeout(15):
        while True:
            found = next((line for line in lines() if text in line), None)
            if found is not None:
                return found
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_whatever_is_in_a_record_it_is_one_line_that_no_terminal_obeys(form: Form, hostile: str) -> None:
    with direct(form) as (logger, lines):
        logger.warning("said %s", hostile, extra={"fields": {"more": hostile}})

    (line,) = lines()
    assert RAW.search(line) is None
    if form == "json":
        assert json.loads(line)["message"] == f"said {hostile}"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_traceback_cannot_pose_as_lines_either(form: Form, hostile: str) -> None:
    with direct(form) as (logger, lines):
        try:
            int(hostile)
        except ValueError as error:
            logger.exception("it failed", exc_info=ValueError(hostile, error))

    first, *rest = lines()
    assert not any(RAW.search(line) for line in (first, *rest))
    if form == "json":
        assert (rest, json.loads(first)["traceback"].startswith("ValueError: ")) == ([], True)
    else:
        assert BEGIN.match(first)
        assert rest
        assert all(line.startswith("    ") for line in rest)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET /nj_live_0123456789abcdefghijABCDEFGHIJ failed", "GET /nj_live_*** failed"),
        ("cannot reach redis://user:hunter2@10.0.0.1:6379/0", "cannot reach redis://***@10.0.0.1:6379/0"),
        ("url='https://id.example/callback?code=hunter2&state=x'", "url='https://id.example/callback?***'"),
        ("is it there? a=b", "is it there? a=b"),
    ],
)
def test_a_key_a_password_and_a_query_that_got_into_a_line_are_blotted_out(form: Form, text: str, shown: str) -> None:
    with direct(form) as (logger, lines):
        logger.info("%s", text)

    (line,) = lines()
    assert shown in line
    assert "hunter2" not in line


def test_a_json_line_says_when_who_and_what() -> None:
    with direct("json") as (logger, lines):
        request = request_id.make()
        token = request_id.current.set(request)
        logger.error("it is %d", 5)
        request_id.current.reset(token)
        logger.info("nobody's")

    told, other = map(json.loads, lines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", told.pop("time"))
    assert told == {"level": "error", "logger": "nijika.test", "message": "it is 5", "request_id": str(request)}
    assert "request_id" not in other


async def test_a_request_is_one_line_with_its_fields(start: Start, upstream: Upstream) -> None:
    upstream.plan("*", answers.answer(200, b"cut out"))
    with written("json") as lines:
        async with start(configuration(upstream_table(upstream.url), chain=CHAIN)) as gateway:
            customer = await gateway.customer()
            fields = {**customer.fields, "X-Forwarded-For": "203.0.113.7"}
            async with gateway.session.post("/api/removebg?secret=1", data=b"x", headers=fields) as answer:
                request = answer.headers["X-Request-ID"]
            line = json.loads(await until(lines, request))
            async with gateway.session.post("/api/removebg", data=b"x") as refused:
                other = json.loads(await until(lines, refused.headers["X-Request-ID"]))

    assert 0 < line.pop("seconds") < 60
    assert line.pop("bytes") > 7
    assert line.pop("key") > 0
    del line["time"]
    assert line == {
        "level": "info",
        "logger": "aiohttp.access",
        "message": "POST /api/removebg 200",
        "client": "203.0.113.7",
        "method": "POST",
        "path": "/api/removebg",
        "route": "/api/removebg",
        "status": 200,
        "account": customer.account,
        "request_id": request,
    }
    assert (other["status"], other["code"], "account" in other) == (401, "missing-key", False)


@pytest.mark.parametrize("form", FORMS)
async def test_what_is_written_within_a_request_carries_its_id(start: Start, upstream: Upstream, form: Form) -> None:
    upstream.plan("*", answers.failed(500))
    routes = ROUTES + PAINT
    with written(form) as lines:
        async with start(configuration(upstream_table(upstream.url), routes=routes)) as gateway:
            customer = await gateway.customer()
            ids = []
            for path in ("/api/removebg", "/api/paint?fail"):
                async with gateway.session.post(path, data=b"x", headers=customer.fields) as answer:
                    ids.append(answer.headers["X-Request-ID"])
            await until(lines, ids[1])
            upstream_line = await until(lines, "answered 500")
            failure = await until(lines, "a request failed")

    assert ids[0] in upstream_line
    assert ids[1] in failure


async def test_the_ledger_works_for_all_and_its_lines_name_no_request(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coordinator, "RETRY_SECONDS", 0.1)
    pool = await open_pool(database, connections_max=1)
    pool.terminate()
    ledger = Ledger(pool, request_id.make())
    request_id.current.set(request_id.make())
    with written("json") as lines:
        held = asyncio.create_task(ledger.hold(Hold(request_id.make(), 1, 1, "/", 1, 1.0)))

        line = await until(lines, "the database does not answer")
        await ledger.close()

    assert isinstance((await asyncio.gather(held, return_exceptions=True))[0], LedgerUnavailable)
    assert "request_id" not in json.loads(line)


@pytest.mark.parametrize("form", FORMS)
async def test_a_caller_can_neither_write_lines_nor_get_secrets_into_them(
    start: Start, upstream: Upstream, form: Form
) -> None:
    secret = "hunter2"
    upstream.plan("*", faults.garbage(b"HTTP/1.1 200 \x1b[31mOK\r\n\x1b[2J\r\n\r\n"))
    targets = [
        "/free/%0d%0a2026-01-01%2000:00:00,000%20ERROR%20nijika:%20forged",
        "/free/%1b%5b31mred",
        "/free/%E2%80%AE%C2%85",
        f"/free/x?key={secret}&code={secret}",
        f"/auth/github/callback?code={secret}&state={secret}",
        f"/auth/github/callback?error={secret}&error_description={secret}",
        "/" + "long/" * 1000,
    ]
    with written(form) as lines:
        async with start(configuration(upstream_table(upstream.url) + LOGIN, chain=CHAIN, routes=SIGN_IN)) as gateway:
            customer = await gateway.customer()
            secrets = [secret, customer.key[8:]]
            for target in targets:
                await ask(
                    gateway, target, f"X-API-Key: {customer.key}\r\nCookie: a={secret}\r\nUser-Agent: {secret}\x9b31m"
                )
            await ask(gateway, f"/{customer.key}", f"X-Forwarded-For: 1.2.3.4\x9b31m, {secret}")
            await ask(gateway, "/free/\x80\xff", "User-Agent: \x1b[31m\r\nHost: \x1b[2J")
            await ask(gateway, "/last", f"Authorization: Bearer {secret}\r\nIdempotency-Key: {secret}")
            await until(lines, "/last")

    assert not any(RAW.search(line) for line in lines())
    assert not any(text in line for line in lines() for text in secrets)
    assert not any("/open/x" in line for line in lines()), "what the worker was asked is nobody's business either"
    assert all(len(line) < 4096 for line in lines())
    for line in lines():
        if form == "json":
            assert isinstance(json.loads(line), dict)
        else:
            assert BEGIN.match(line) or line.startswith("    ")
    assert len([line for line in lines() if "aiohttp.access" in line]) == len(targets) + 2
    assert any("malformed" in line for line in lines())


async def ask(gateway: Gateway, target: str, fields: str) -> None:
    async with raw.connect(gateway.url) as client:
        await client.send(
            f"GET {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\nConnection: close\r\n\r\n".encode("latin-1")
        )
        await client.rest()


async def test_what_is_no_http_has_no_line_beside_the_one_for_all_of_them(gateway: Gateway) -> None:
    with written("text") as lines:
        for _ in range(20):
            async with raw.connect(gateway.url) as client:
                await client.ask(b"GARBAGE\x1b[31m\r\n\r\n")
        async with gateway.session.get("/health"):
            pass
        await until(lines, "/health")

    assert [line for line in lines() if "/health" not in line and "malformed" not in line] == []
    assert 1 <= len([line for line in lines() if "malformed" in line]) <= 5
