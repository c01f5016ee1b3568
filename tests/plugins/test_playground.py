"""The playground calls the public API with a key of the browser's session, which ends with it."""

import asyncio
import html
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nijika.state import POOL, SESSION_LIFE, VAULT
from nijika.store import keys, sessions
from tests.browsing import SESSION_CHAIN, Browser, Page, browser, person, user_of
from tests.conftest import Start
from tests.gateway import Customer, Gateway, configuration, upstream_table
from tests.peers import answers
from tests.peers.upstream import Upstream

ROUTES = """
[[routes]]
use = "account"
[[routes]]
use = "login"
[[routes]]
use = "playground"
[[routes]]
use = "proxy"
path = "/api/aaa"
upstream = "worker"
price = { hold = "0.5", capture = "X-Nijika-Cost" }
content_types = ["application/json"]
on_disconnect = "cancel"
[[routes]]
use = "proxy"
path = "/api/removebg"
upstream = "worker"
target = "/v1/cutout"
price = "1"
summary = "Remove <the> background"
[[routes]]
use = "proxy"
path = "/api/read"
methods = ["GET"]
upstream = "worker"
price = "free"
[[routes]]
use = "proxy"
path = "/files/*"
upstream = "worker"
price = "free"
[[routes]]
use = "proxy"
path = "/things/{name}"
upstream = "worker"
price = "free"
"""


@pytest.fixture
async def site(start: Start, upstream: Upstream) -> AsyncIterator[Gateway]:
    async with start(configuration(upstream_table(upstream.url), chain=SESSION_CHAIN, routes=ROUTES)) as gateway:
        yield gateway


@pytest.fixture
async def customer(site: Gateway) -> Customer:
    return await site.customer("100")


@pytest.fixture
async def owner(site: Gateway, customer: Customer) -> AsyncIterator[Browser]:
    async with browser(site, await user_of(customer)) as owner:
        yield owner


async def ask(owner: Browser, **how: Any) -> Page:
    return await owner.send("/playground/key", accept="application/json", **how)


async def status_with(site: Gateway, key: str) -> int:
    async with site.session.get("/api/account", headers={"X-API-Key": key}) as answer:
        return answer.status


async def rows(site: Gateway) -> list[Any]:
    found: list[Any] = await site.pool.fetch("SELECT * FROM keys WHERE session IS NOT NULL ORDER BY id")
    return found


# The page.


async def test_the_page_offers_what_can_be_called_without_more_pictures_first(owner: Browser) -> None:
    page = await owner.page("/playground")

    assert page.status == 200
    assert page.text.index("POST /api/removebg · 1 credit<") < page.text.index(
        "POST /api/aaa · at most 0.5 credits, by use<"
    )
    assert page.text.count("<option") == 2
    assert 'data-summary="Remove &lt;the&gt; background"' in page.text
    assert '<strong class="number" id="balance">100</strong>' in page.text
    assert "<script>" not in page.text
    assert "style=" not in page.text


async def test_without_scripts_it_says_how_to_call(owner: Browser, customer: Customer) -> None:
    page = html.unescape((await owner.page("/playground")).text)
    instead = page.partition("<noscript>")[2].partition("</noscript>")[0]

    assert "needs JavaScript" in instead
    assert (
        f"-H 'X-API-Key: nj_live_…{customer.key[-4:]}' --data-binary @file http://127.0.0.1:8080/api/removebg"
        in instead
    )


async def test_the_page_never_holds_a_whole_key(owner: Browser, customer: Customer) -> None:
    of_session = (await ask(owner)).json["key"]
    page = await owner.page("/playground")

    assert customer.key not in page.text
    assert of_session not in page.text


async def test_a_stranger_is_led_to_the_sign_in(site: Gateway) -> None:
    async with browser(site) as stranger:
        page = await stranger.page("/playground")
        asked = await ask(stranger)

    assert (page.status, page.location) == (303, "/login?next=/playground")
    assert (asked.status, asked.json["code"]) == (401, "not-signed-in")


async def test_where_nothing_can_be_tried_the_page_says_so(start: Start) -> None:
    routes = '[[routes]]\nuse = "playground"\n'
    async with start(configuration("", chain=SESSION_CHAIN, routes=routes)) as gateway:
        async with browser(gateway, await person(gateway)) as owner:
            page = await owner.page("/playground")

    assert page.status == 200
    assert "There is nothing to try yet" in page.text


# The key.


async def test_the_key_calls_the_public_api_for_the_own_account(
    owner: Browser, customer: Customer, site: Gateway, upstream: Upstream
) -> None:
    upstream.plan("*", answers.answer(200, b"ok"))
    told = await ask(owner)

    async with site.session.post("/api/removebg", data=b"p", headers={"X-API-Key": told.json["key"]}) as answer:
        await answer.read()

    assert told.headers["Cache-Control"] == "no-store"
    assert answer.status == 200
    assert (await customer.settled())["available"] == "99"
    assert [(row["name"], row["session"], row["scopes"]) for row in await rows(site)] == [
        ("playground (this browser)", owner.session, None)
    ]


async def test_the_key_lives_for_an_hour(owner: Browser, site: Gateway) -> None:
    told = (await ask(owner)).json
    (row,) = await rows(site)

    left = datetime.fromisoformat(told["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    assert abs(row["expires_at"] - datetime.fromisoformat(told["expires_at"])) < timedelta(seconds=1)


async def test_asked_again_it_is_the_same_key_and_lives_on(owner: Browser, site: Gateway) -> None:
    first = (await ask(owner)).json["key"]
    await site.pool.execute("UPDATE keys SET expires_at = now() - interval '1 minute' WHERE session IS NOT NULL")
    while_expired = await status_with(site, first)

    again = (await ask(owner)).json["key"]

    assert while_expired == 401
    assert again == first
    assert await status_with(site, again) == 200
    assert len(await rows(site)) == 1


async def test_tabs_that_ask_at_once_share_one_key(owner: Browser, site: Gateway) -> None:
    told = await asyncio.gather(*(ask(owner) for _ in range(8)))

    assert {page.status for page in told} == {200}
    assert len({page.json["key"] for page in told}) == 1
    assert len(await rows(site)) == 1


async def test_each_browser_has_a_key_of_its_own(owner: Browser, site: Gateway) -> None:
    async with browser(site, owner.user) as other:
        told = [(await ask(one)).json["key"] for one in (owner, other)]

    assert len(set(told)) == 2


async def test_it_never_outlives_the_session(owner: Browser, site: Gateway) -> None:
    await site.pool.execute("UPDATE sessions SET expires_at = now() + interval '5 minutes'")

    told = (await ask(owner)).json

    assert datetime.fromisoformat(told["expires_at"]) - datetime.now(UTC) <= timedelta(minutes=5)


async def test_it_ends_when_its_browser_signs_out(owner: Browser, site: Gateway) -> None:
    key = (await ask(owner)).json["key"]
    before = await status_with(site, key)

    await owner.send("/auth/logout")

    assert (before, await site.soon(key, 401)) == (200, 401)


async def test_a_key_that_is_made_while_its_session_ends_ends_too(owner: Browser, site: Gateway) -> None:
    assert owner.user is not None
    assert owner.session is not None
    pool = site.app[POOL]

    async with pool.acquire() as playground, pool.acquire() as sign_out:
        async with playground.transaction():
            assert await sessions.locked(playground, owner.session, site.app[SESSION_LIFE]) is not None
            ending = asyncio.create_task(sessions.end(sign_out, owner.user, only=owner.session))
            await waiting(site)
            account = await playground.fetchval("SELECT account FROM users WHERE id = $1", owner.user)
            made = await keys.make(playground, site.app[VAULT], account=account, name="k", session=owner.session)
        ended = await asyncio.wait_for(ending, 10)

    assert ended == 1
    assert await status_with(site, made.text) == 401


async def waiting(site: Gateway) -> None:
    """Until somebody waits for a lock of this database."""
    async with asyncio.timeout(10):
        while not await site.pool.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ):
            await asyncio.sleep(0.01)


async def test_a_key_that_cannot_be_opened_any_more_is_replaced(owner: Browser, site: Gateway) -> None:
    first = (await ask(owner)).json["key"]
    await site.pool.execute("UPDATE keys SET sealed = 'of another secret' WHERE session IS NOT NULL")

    second = (await ask(owner)).json["key"]

    assert [await status_with(site, key) for key in (first, second)] == [401, 200]


async def test_a_suspended_account_gets_none(owner: Browser, site: Gateway) -> None:
    await site.pool.execute("UPDATE accounts SET suspended_at = now()")

    page, told = await owner.page("/playground"), await ask(owner)

    assert "Your account is suspended" in page.text
    assert (told.status, told.json["code"]) == (403, "account-suspended")
    assert await rows(site) == []


async def test_no_other_site_can_ask_for_it(owner: Browser, site: Gateway) -> None:
    told = [await ask(owner, token=None), await ask(owner, token="x"), await ask(owner, origin="https://evil.example")]
    got = await owner.page("/playground/key", Accept="application/json")

    assert [page.status for page in told] == [403, 403, 403]
    assert got.status == 405
    assert await rows(site) == []
