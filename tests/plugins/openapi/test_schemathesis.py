"""Schemathesis reads the document and calls all that stands there: nothing answers what is not documented.

It finds more the longer it looks: pytest tests/plugins/openapi/test_schemathesis.py --examples 500
"""

import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from pathlib import Path

import pytest
from aiohttp import web

from nijika.middlewares import MIDDLEWARES
from nijika.plugins import PLUGINS
from nijika.state import COOKIE, ROUTES
from tests.browsing import PAGE, browser, user_of
from tests.conftest import Start
from tests.gateway import Customer, Gateway, configuration, loaded, serving, upstream_table
from tests.peers import answers, faults, redirects
from tests.peers.exchange import Behaviour, Exchange
from tests.peers.upstream import Upstream
from tests.plugins.openapi.fuzz import everything
from tests.plugins.openapi.fuzz.run import Run, fuzz
from tests.plugins.openapi.reading import document, operations
from worker.server import Settings, Worker, runner

SOLD = {"POST /api/cutout", "POST /api/upscale", "POST /mix/{colour}"}
WRONG = "nj_live_" + "0" * 49
EXPECTED = {
    "nobody": 401,
    "a wrong key": 401,
    "a guesser": 429,
    "a browser": 401,
    "without credit": 402,
    "in a hurry": 429,
}


@pytest.fixture
async def worker() -> AsyncIterator[str]:
    """The worker that comes with nijika, with its engine that needs no weights; gives its URL."""
    made = Worker(Settings(price_per_megapixel=Decimal("0.5")))
    run = runner(made, drain_seconds=1)
    await run.setup()
    await web.TCPSite(run, "127.0.0.1", 0).start()
    await made.device.models()
    yield f"http://127.0.0.1:{run.addresses[0][1]}"
    await run.cleanup()


@pytest.fixture
def examples(request: pytest.FixtureRequest) -> int:
    """How many, for who matters most."""
    return int(request.config.getoption("--examples"))


@pytest.fixture
def start(database: str, tmp_path: Path) -> Callable[[str], AbstractAsyncContextManager[Gateway]]:
    """As in conftest.py, and the document says where it really is."""
    return lambda text: serving(loaded(tmp_path, text), database, is_public=True)


async def owner(gateway: Gateway) -> Customer:
    """An admin, whose key may do everything that a key can."""
    names = [route.name for route in gateway.app[ROUTES] if route.needs_key]
    customer = await gateway.customer("1000000", scopes=names)
    await gateway.pool.execute("UPDATE users SET role = 'admin' WHERE account = $1", customer.account)
    return customer


async def check(gateway: Gateway, run: Run) -> None:
    """Nothing was found, nothing was left out, and the money adds up."""
    assert run.status == 0, run.report
    named = {name for name, _ in operations(await document(gateway))}
    assert set(run.statuses) == named - {"GET /openapi.json"}, run.report  # what it reads itself it does not call
    assert await gateway.violations() == {}


def test_everything_is_configured() -> None:
    text = everything.chain() + everything.routes()

    assert [name for name in (*MIDDLEWARES, *PLUGINS) if f'use = "{name}"' not in text] == []


async def test_with_a_key_that_may_do_everything(start: Start, worker: str, tmp_path: Path, examples: int) -> None:
    async with start(everything.configured(worker)) as gateway:
        customer = await owner(gateway)
        async with gateway.session.post("/mix/red", headers=customer.fields) as answer:
            known: dict[str, list[object]] = {"id": [answer.headers["X-Request-ID"]], "account": [customer.account]}

        run = await fuzz(gateway.url, tmp_path, examples=examples, key=customer.key, known=known)

        await check(gateway, run)
        # The worker has no files, and whatever else there is can succeed.
        assert [name for name, seen in run.statuses.items() if not {200, 201} & set(seen)] == [
            name for name in run.statuses if "/files/" in name
        ]
        assert (await customer.settled())["spent"] != "0.25"


@pytest.mark.parametrize("who", ["nobody", "a wrong key", "a guesser", "a browser", "without credit", "in a hurry"])
async def test_whoever_may_not_call(start: Start, worker: str, tmp_path: Path, examples: int, who: str) -> None:
    failures = "1/d" if who == "a guesser" else everything.MANY
    limit = "3/s" if who == "in a hurry" else everything.MANY
    async with start(everything.configured(worker, limit=limit, failures=failures)) as gateway:
        customer = await (gateway.customer("0") if who == "without credit" else owner(gateway))
        keys = {"without credit": customer.key, "in a hurry": customer.key, "a wrong key": WRONG, "a guesser": WRONG}
        async with browser(gateway, await user_of(customer)) as signed_in:
            cookie = f"{gateway.app[COOKIE].cookie_name}={signed_in.cookie}"
        headers = {**PAGE, "Cookie": cookie} if who == "a browser" else {}

        run = await fuzz(
            gateway.url,
            tmp_path,
            examples=max(5, examples // 8),
            key=keys.get(who),
            headers=headers,
            unchecked=["ignored_auth"] if who == "in a hurry" else [],  # it is too fast before it lacks a key
        )

        await check(gateway, run)
        for name in SOLD:
            assert EXPECTED[who] in run.statuses[name]
            assert 200 not in run.statuses[name] or who == "in a hurry"


async def test_a_worker_that_breaks_in_all_ways(
    start: Start, upstream: Upstream, tmp_path: Path, examples: int
) -> None:
    upstream.plan("*", by_turns(*BROKEN))
    text = configuration(upstream_table(upstream.url), chain=everything.chain(), routes=WORK)
    async with start(text) as gateway:
        customer = await gateway.customer()

        run = await fuzz(
            gateway.url,
            tmp_path,
            examples=examples,
            key=customer.key,
            unchecked=["not_a_server_error", "positive_data_acceptance", "negative_data_rejection"],  # it does break
        )

        await check(gateway, run)
        assert {status for status in run.all_statuses if status >= 500} == {502, 503}
        assert {200, 304, 402, 404, 418} <= run.all_statuses


WORK = """
[[routes]]
use = "openapi"
[[routes]]
use = "proxy"
path = "/api/work"
upstream = "worker"
price = "0.01"
[[routes]]
use = "proxy"
path = "/api/metered"
upstream = "worker"
price = { hold = "2", capture = "X-Nijika-Cost" }
content_types = ["application/json", "text/*"]
[[routes]]
use = "proxy"
path = "/files/*"
methods = ["GET", "HEAD", "PUT", "PATCH", "DELETE"]
upstream = "worker"
price = "free"
"""

OWN = b'{"type": "about:blank", "title": "I am a teapot", "status": 418}'
BROKEN = [
    answers.answer(304),
    answers.failed(),
    answers.failed(503),
    answers.starting(),
    answers.too_many(),
    answers.answer(401, b"who?"),
    answers.answer(407),
    answers.answer(402, b"pay me", [("Content-Type", "text/plain")]),
    answers.answer(404, b"<h1>no</h1>", [("Content-Type", "text/html")]),
    answers.answer(418, OWN, [("Content-Type", "application/problem+json")]),
    answers.leaking(),
    answers.answer(200, b"{}", [("Content-Type", "application/json")]),
    answers.answer(200, b"no type at all"),
    answers.answer(204),
    redirects.away("https://elsewhere.example", 302),
    redirects.away(None),
    faults.closed,
    faults.garbage(),
    faults.two_lengths(),
    faults.huge_header(),
]


def by_turns(*behaviours: Behaviour) -> Behaviour:
    """For each method, each of them once, and then again from the first."""
    turns: dict[str, Iterator[Behaviour]] = defaultdict(lambda: itertools.cycle(behaviours))

    async def behave(exchange: Exchange) -> None:
        await next(turns[exchange.seen.method])(exchange)

    return behave
