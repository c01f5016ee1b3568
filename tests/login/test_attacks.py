"""What attackers try with a sign-in: forged and repeated states, forged hosts, redirects, copied cookies."""

import time
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from nijika.login.pending import Pending
from nijika.state import COOKIE, SIGN_IN, VAULT
from tests.browsing import PAGE, Browser, browser
from tests.gateway import Gateway, loaded, serving
from tests.login.conftest import login_table, site_configuration
from tests.login.people import everyone, sessions, signed_in, visiting
from tests.peers import raw
from tests.peers.upstream import Upstream
from tests.providers.provider import Provider
from tests.providers.visitor import authorise

SIGN_IN_COOKIE = "nijika-sign-in"


async def _begun(gateway: Gateway, visitor: aiohttp.ClientSession, provider: Provider) -> URL:
    """The callback of a sign-in that is one step from its end."""
    return await authorise(visitor, f"{gateway.url}/auth/{provider.kind}", provider, 1)


async def test_a_callback_without_its_state_or_with_another_lets_nobody_in(
    site: Gateway, provider: Provider, visitor: aiohttp.ClientSession
) -> None:
    await provider.person()
    callback = await _begun(site, visitor, provider)
    code, state = callback.query["code"], callback.query["state"]
    queries = [
        f"code={code}",
        f"code={code}&state=",
        f"code={code}&state=x{state[1:]}",
        f"code={code}&state={state}&state={state}",
        f"code={code}&state=%ff%fe",
    ]

    statuses = []
    for query in queries:
        cookies = _pending_cookie(visitor)
        async with visiting() as attempt:
            attempt.cookie_jar.update_cookies(cookies, URL(site.url))
            url = URL(f"{callback.with_query(None)}?{query}", encoded=True)
            async with attempt.get(url, headers=PAGE) as answer:
                statuses.append(answer.status)
                assert "begun in this browser" in await answer.text()

    assert statuses == [400] * len(queries)
    assert (await everyone(site), await sessions(site)) == ([], 0)


async def test_a_callback_without_the_cookie_of_its_browser_lets_nobody_in(
    site: Gateway, provider: Provider, visitor: aiohttp.ClientSession
) -> None:
    """A link that an attacker prepared would sign the victim in to the attacker's account."""
    await provider.person()
    callback = await _begun(site, visitor, provider)

    async with visiting() as victim, victim.get(callback) as answer:
        assert answer.status == 400

    assert await sessions(site) == 0


async def test_a_cookie_that_another_key_made_is_none(
    site: Gateway, provider: Provider, visitor: aiohttp.ClientSession
) -> None:
    await provider.person()
    callback = await _begun(site, visitor, provider)
    pending = Pending(provider.kind, callback.query["state"], "v" * 64, "/dashboard", None)
    foreign = pending.sealed(site.app[VAULT].cipher("another purpose"))

    async with visiting() as attempt:
        attempt.cookie_jar.update_cookies({SIGN_IN_COOKIE: foreign}, URL(site.url))
        async with attempt.get(callback) as answer:
            assert answer.status == 400


async def test_a_state_comes_back_once(site: Gateway, provider: Provider, visitor: aiohttp.ClientSession) -> None:
    await provider.person()
    callback = await _begun(site, visitor, provider)
    cookies = _pending_cookie(visitor)
    async with visitor.get(callback, allow_redirects=False) as first:
        assert first.status == 303
    fresh = await _begun_with_cookies(site, provider)

    async with visiting() as again:
        again.cookie_jar.update_cookies(cookies, URL(site.url))
        async with again.get(fresh.update_query(state=callback.query["state"])) as second:
            assert second.status == 400

    assert await sessions(site) == 1


async def test_a_sign_in_that_took_longer_than_ten_minutes_is_over(
    site: Gateway, provider: Provider, visitor: aiohttp.ClientSession
) -> None:
    await provider.person()
    callback = await _begun(site, visitor, provider)
    cipher = site.app[SIGN_IN].cipher
    sealed = _pending_cookie(visitor)[SIGN_IN_COOKIE]
    data = cipher.decrypt(sealed)

    statuses = {}
    for age in (590, 610):
        async with visiting() as late:
            made = cipher.encrypt_at_time(data, int(time.time()) - age).decode()
            late.cookie_jar.update_cookies({SIGN_IN_COOKIE: made}, URL(site.url))
            async with late.get(callback, allow_redirects=False) as answer:
                statuses[age] = answer.status
        if age == 590:
            await site.pool.execute("DELETE FROM spent_states")

    assert statuses == {590: 303, 610: 400}


async def test_the_state_of_one_provider_is_nothing_to_the_other(
    site: Gateway, github: Provider, gitlab: Provider, visitor: aiohttp.ClientSession
) -> None:
    await github.person()
    await gitlab.person()
    callback = await _begun(site, visitor, github)

    async with visitor.get(callback.with_path("/auth/gitlab/callback").with_query(callback.query)) as answer:
        assert answer.status == 400

    assert (await gitlab.seen())["token"] == []
    assert await everyone(site) == []


@pytest.mark.parametrize(
    "fields",
    [
        "Host: evil.example",
        "Host: evil.example\r\nX-Forwarded-Host: evil.example",
        "Host: x\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https",
        "Host: x\r\nForwarded: host=evil.example;proto=https",
    ],
)
async def test_the_redirect_uri_is_the_configured_one_whatever_host_is_claimed(site: Gateway, fields: str) -> None:
    async with raw.connect(site.url) as client:
        answer = await client.ask(f"GET /auth/github HTTP/1.1\r\n{fields}\r\n\r\n".encode())

    location = URL(answer.value("Location") or "")
    assert answer.status == 303
    assert location.query["redirect_uri"] == f"{site.url}/auth/github/callback"


NEXTS = [
    "https://evil.example",
    "http://evil.example/dashboard",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/%2f/evil.example",
    "/%5cevil.example",
    "/dashboard/..//evil.example",
    "/dashboard/../../evil",
    "javascript:alert(1)",
    "data:text/html,x",
    "/dashboard\r\nSet-Cookie: a=b",
    "/dashboard\r\n\r\n<script>",
    " /dashboard",
    "\t//evil.example",
    "/dashboard@evil.example",
    "@evil.example",
    ".evil.example",
    "/auth/logout",
    "/auth/github/callback",
    "/static/site.css",
    "/api/account",
    "/nothing",
    "?next=//evil.example",
    "",
    "/dashboard/" + "a" * 2000,
]


@pytest.mark.parametrize("text", NEXTS)
async def test_after_a_sign_in_nobody_is_led_elsewhere(
    site: Gateway, github: Provider, visitor: aiohttp.ClientSession, text: str
) -> None:
    await github.person()
    start = URL(f"{site.url}/auth/github?next={quote(text, safe='')}", encoded=True)
    callback = await authorise(visitor, start, github, 1)

    async with visitor.get(callback, allow_redirects=False) as answer:
        assert answer.status == 303
        assert answer.headers["Location"] == "/dashboard"
        assert "a=b" not in str(answer.headers)


async def test_after_a_sign_in_one_is_back_where_one_wanted_to_be(
    site: Gateway, github: Provider, visitor: aiohttp.ClientSession
) -> None:
    await github.person()
    wanted = "/dashboard/transactions?kind=refunded&since=2026-01-01"
    async with visitor.get(f"{site.url}{wanted}", headers=PAGE) as asked:
        start = str(asked.url).replace("/login", "/auth/github")
        page = await asked.text()
    callback = await authorise(visitor, start, github, 1)

    async with visitor.get(callback, allow_redirects=False) as answer:
        assert answer.headers["Location"] == wanted

    assert quote(wanted, safe="/") in page


async def test_a_session_that_was_there_before_the_sign_in_is_not_the_one_after_it(
    site: Gateway, provider: Provider, visitor: aiohttp.ClientSession
) -> None:
    await provider.person()
    async with browser(site) as attacker:
        attacker._take(id="7f2c8a52-0000-4000-8000-000000000000", token="known to the attacker")
        planted = attacker.cookie
    name = site.app[COOKIE].cookie_name
    visitor.cookie_jar.update_cookies({name: planted}, URL(site.url))

    await signed_in(visitor, site, provider)

    victim = Browser(site, visitor, 1, None)
    assert victim.cookie != planted
    assert victim.token != "known to the attacker"
    assert str(await site.pool.fetchval("SELECT id FROM sessions")) != "7f2c8a52-0000-4000-8000-000000000000"
    async with browser(site) as attacker:
        attacker.client.cookie_jar.update_cookies({name: planted}, URL(site.url))
        assert (await attacker.page("/dashboard")).status == 303


async def test_a_second_sign_in_of_one_browser_ends_the_first_session(
    site: Gateway, github: Provider, gitlab: Provider, visitor: aiohttp.ClientSession
) -> None:
    """Two tabs begin, two callbacks come back."""
    await github.person(1)
    await gitlab.person(2)
    callback = await authorise(visitor, f"{site.url}/auth/gitlab", gitlab, 2)
    pending = _pending_cookie(visitor)
    await signed_in(visitor, site, github, 1)
    visitor.cookie_jar.update_cookies(pending, URL(site.url))

    async with visitor.get(callback) as answer:
        assert answer.status == 200

    assert await sessions(site) == 1


async def test_a_cookie_that_was_copied_is_worth_nothing_after_the_sign_out(
    site: Gateway, provider: Provider, visitor: aiohttp.ClientSession
) -> None:
    await provider.person()
    await signed_in(visitor, site, provider)
    here = Browser(site, visitor, 1, None)
    name, copied = site.app[COOKIE].cookie_name, here.cookie
    async with browser(site) as thief:
        thief.client.cookie_jar.update_cookies({name: copied}, URL(site.url))
        before = (await thief.page("/dashboard")).status

        answer = await here.send(f"{site.url}/auth/logout")
        thief.client.cookie_jar.update_cookies({name: copied}, URL(site.url))
        after = (await thief.page("/dashboard")).status

    assert (before, answer.status, after) == (200, 303, 303)
    assert here.cookie == ""


async def test_with_https_the_cookies_are_bound_to_the_host_and_deleted_with_the_same_attributes(
    database: str, tmp_path: Path, upstream: Upstream, github: Provider, gitlab: Provider
) -> None:
    text = site_configuration(upstream, login_table(github, gitlab))
    config = loaded(tmp_path, text.replace("port = 0", 'port = 0\npublic_url = "https://api.example.com"'))

    async with serving(config, database) as gateway:
        async with gateway.session.get("/auth/github", allow_redirects=False) as begun:
            begun_cookie = begun.headers["Set-Cookie"]
        async with browser(gateway, await _somebody(gateway)) as here:
            cookie = f"{gateway.app[COOKIE].cookie_name}={here.cookie}"
            fields = {**PAGE, "Cookie": cookie, "Origin": "https://api.example.com"}
            form = {"token": here.token}
            async with gateway.session.post("/auth/logout", data=form, headers=fields, allow_redirects=False) as out:
                deleted = out.headers["Set-Cookie"]

    for text in (begun_cookie, deleted):
        assert text.startswith("__Host-nijika")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= {part.strip() for part in text.split(";")}
        assert "Domain" not in text
    assert "Max-Age=0" in deleted


async def _somebody(gateway: Gateway) -> int:
    customer = await gateway.customer()
    user = await gateway.pool.fetchval("SELECT id FROM users WHERE account = $1", customer.account)
    assert isinstance(user, int)
    return user


def _pending_cookie(visitor: aiohttp.ClientSession) -> dict[str, str]:
    return {cookie.key: cookie.value for cookie in visitor.cookie_jar if cookie.key == SIGN_IN_COOKIE}


async def _begun_with_cookies(gateway: Gateway, provider: Provider) -> URL:
    async with visiting() as another:
        return await _begun(gateway, another, provider)
