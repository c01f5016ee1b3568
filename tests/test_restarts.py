"""PostgreSQL is stopped, crashed and started again under load: calls wait, and nothing has to be restarted by hand."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from nijika.state import ROUTES as TABLE
from nijika.store import keyring
from nijika.store.migrate import migrate
from tests.browsing import SESSION_CHAIN, browser, person
from tests.gateway import ROUTES, Customer, Gateway, configuration, loaded, serving, upstream_table
from tests.peers import answers
from tests.peers.upstream import Upstream
from tests.postgres import PostgresServer

PATH = "/api/removebg"
PAGES = "".join(
    f'[[routes]]\nuse = "{name}"\n' for name in ("site", "login", "dashboard", "staff", "openapi", "playground")
)
CALLERS = 24


@pytest.fixture(scope="module")
def cluster_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> PostgresServer:
    """With an up-to-date schema."""
    server = PostgresServer(tmp_path_factory.mktemp("restarts"))
    server.start()
    asyncio.run(_migrate(server.url))
    server.stop()
    return server


@pytest.fixture
def server(cluster_of_its_own: PostgresServer) -> Iterator[PostgresServer]:
    """Running."""
    cluster_of_its_own.start()
    yield cluster_of_its_own
    cluster_of_its_own.stop()


@pytest.fixture
async def gateway(server: PostgresServer, upstream: Upstream, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway with pages, whose worker always succeeds."""
    upstream.plan("*", answers.answer(200, b"cut-out"))
    text = configuration(upstream_table(upstream.url), chain=SESSION_CHAIN, routes=ROUTES + PAGES)
    async with serving(loaded(tmp_path, text), server.url, is_public=True) as gateway:
        yield gateway


async def _migrate(url: str) -> None:
    connection = await asyncpg.connect(url)
    await migrate(connection)
    await connection.close()


async def call(customer: Customer) -> int:
    async with customer.gateway.session.post(PATH, data=b"picture", headers=customer.fields) as answer:
        await answer.read()
        return answer.status


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def load(customers: list[Customer]) -> AsyncIterator[Counter[int]]:
    """One call after the other for each customer, until the block ends; how many answers there are by status."""
    statuses: Counter[int] = Counter()
    is_over = False

    async def calls(customer: Customer) -> None:
        while not is_over:
            statuses[await call(customer)] += 1

    tasks = [asyncio.create_task(calls(customer)) for customer in customers]
    try:
        yield statuses
    finally:
        is_over = True
        await asyncio.gather(*tasks)


@pytest.mark.parametrize("ending", [PostgresServer.stop, PostgresServer.crash], ids=["stopped", "crashed"])
async def test_calls_wait_for_a_restart_and_succeed(
    server: PostgresServer,
    gateway: Gateway,
    ending: Callable[[PostgresServer], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    known, new = [[await gateway.customer("1000") for _ in range(CALLERS)] for _ in range(2)]

    async with load(known) as statuses:
        await until(lambda: statuses[200] > 100)
        ending(server)
        waiting = [asyncio.create_task(call(customer)) for customer in new]
        await until(lambda: "keys cannot be looked up" in caplog.text and "does not answer" in caplog.text)
        server.start()
        first = await asyncio.gather(*waiting)
        before = statuses[200]
        await until(lambda: statuses[200] > before + 100)

    spent = [(await customer.settled())["spent"] for customer in known + new]
    assert set(first) == set(statuses) == {200}
    assert sum(map(int, spent)) == statuses[200] + len(new)
    assert await gateway.violations() == {}


async def test_in_a_long_outage_everybody_is_told_and_afterwards_all_goes_on(
    server: PostgresServer, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "LIFE_SECONDS", 3600.0)
    known, new = await gateway.customer(), await gateway.customer()
    await call(known)
    await known.settled()
    server.stop()

    # Remembered, the one waits for the ledger only; the other for its key.
    told = await asyncio.gather(*(problem(customer, "POST", PATH) for customer in (known, new)))
    read = await problem(known, "GET", "/api/account")
    server.start()
    back = [await gateway.soon(customer.key, 200) for customer in (known, new)]
    paid = [await call(customer) for customer in (known, new)]
    await gateway.pool.execute("UPDATE keys SET revoked_at = now() WHERE account = $1", known.account)

    assert [*told, read] == [(503, "ledger-unavailable", "5")] * 3
    assert (back, paid) == ([200, 200], [200, 200])
    assert await gateway.soon(known.key, 401) == 401
    assert await gateway.soon(new.key, 200) == 200
    assert await gateway.violations() == {}


async def problem(customer: Customer, method: str, path: str) -> tuple[int, str, str | None]:
    """Status, code and Retry-After."""
    async with customer.gateway.session.request(method, path, headers=customer.fields) as answer:
        body = await answer.json(content_type="application/problem+json")
        return answer.status, body["code"], answer.headers.get("Retry-After")


async def test_in_an_outage_pages_say_so_and_none_is_an_error_of_ours(server: PostgresServer, gateway: Gateway) -> None:
    async with browser(gateway, await person(gateway, role="admin")) as ada:
        paths = [route.path for route in gateway.app[TABLE] if "GET" in route.methods and route.who != "anyone"]
        paths = [path.replace("{id}", "1") for path in paths]
        before = {path: (await ada.page(path)).status for path in paths}
        server.stop()
        pages = {path: await ada.page(path) for path in paths}
        server.start()
        after = {path: (await ada.page(path)).status for path in paths}

    assert len(paths) > 10
    assert {page.status for path, page in pages.items() if before[path] == 200} == {503}
    assert {page.headers["Retry-After"] for page in pages.values() if page.status == 503} == {"5"}
    assert all("text/html" in page.headers["Content-Type"] for page in pages.values())
    assert after == before
