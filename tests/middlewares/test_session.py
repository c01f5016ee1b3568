"""The cookie names a session: whatever else it holds is a stranger's, and never an error."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from yarl import URL

from nijika.state import COOKIE, SESSION_LIFE, VAULT
from nijika.state import ROUTES as TABLE
from nijika.store import sessions
from tests.browsing import PAGE, SESSION_CHAIN, Browser, begin, browser, person
from tests.gateway import ROUTES, Gateway, configuration, loaded, serving
from tests.peers import raw

PAGES = "".join(f'[[routes]]\nuse = "{name}"\n' for name in ("site", "login", "dashboard", "staff"))


@pytest.fixture
async def site(database: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    upstream = '[upstreams.worker]\nurls = ["http://127.0.0.1:9"]\n'
    config = loaded(tmp_path, configuration(upstream, chain=SESSION_CHAIN, routes=ROUTES + PAGES))
    async with serving(config, database, is_public=True) as gateway:
        yield gateway


@pytest.fixture
async def ada(site: Gateway) -> AsyncIterator[Browser]:
    async with browser(site, await person(site)) as ada:
        yield ada


async def test_who_is_signed_in_sees_the_page_and_a_stranger_is_led_to_the_sign_in(site: Gateway, ada: Browser) -> None:
    async with browser(site) as stranger:
        led = await stranger.page("/dashboard/transactions?kind=refunded")

    assert (await ada.page("/dashboard/transactions")).status == 200
    assert led.status == 303
    assert URL(led.location).path == "/login"
    assert URL(led.location).query == {"next": "/dashboard/transactions?kind=refunded"}


async def test_a_program_without_a_session_is_told_so_in_its_own_form(site: Gateway) -> None:
    async with site.session.get("/dashboard") as answer:
        told = await answer.json()

    assert (answer.status, answer.content_type) == (401, "application/problem+json")
    assert told["code"] == "not-signed-in"


async def test_errors_are_pages_for_browsers_and_problems_for_programs(site: Gateway, ada: Browser) -> None:
    page = await ada.page("/nothing")
    async with site.session.get("/nothing", headers={"Accept": "application/json, text/html"}) as answer:
        problem = await answer.json()

    assert page.status == problem["status"] == 404
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "There is nothing at this address." in page.text
    assert page.headers["X-Request-ID"] in page.text
    assert problem["code"] == "not-found"


def _broken(cookie: str) -> dict[str, str]:
    half = len(cookie) // 2
    flipped = "A" if cookie[half] != "A" else "B"
    return {
        "empty": "",
        "truncated": cookie[:half],
        "one character less": cookie[:-1],
        "flipped": cookie[:half] + flipped + cookie[half + 1 :],
        "garbage": "%00%ff;;;===",
        "json": '{"session": {"id": 1}}',
        "oversized": "x" * 6000,
        "something before": "x" + cookie,
        "base64": "gAAAAA" + "A" * 200,
    }


async def test_broken_cookies_are_those_of_a_stranger(site: Gateway, ada: Browser) -> None:
    name, good = site.app[COOKIE].cookie_name, ada.cookie
    statuses = {}
    for kind, cookie in _broken(good).items():
        async with raw.connect(site.url) as client:
            head = f"GET /dashboard HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nCookie: {name}={cookie}\r\n\r\n"
            statuses[kind] = (await client.ask(head.encode())).status

    assert set(statuses.values()) == {303}


@pytest.mark.parametrize("bytes_", [b"\xff\xfe\xfa", "gAAAAAé".encode(), b"gAAAAA\x80"])
async def test_a_cookie_of_other_than_ascii_is_that_of_a_stranger(site: Gateway, bytes_: bytes) -> None:
    name = site.app[COOKIE].cookie_name.encode()
    async with raw.connect(site.url) as client:
        head = (
            b"GET /dashboard HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nCookie: " + name + b"=" + bytes_ + b"\r\n\r\n"
        )
        assert (await client.ask(head)).status == 303


async def test_a_sealed_cookie_with_something_else_inside_is_that_of_a_stranger(site: Gateway) -> None:
    async with browser(site) as stranger:
        for members in ({"id": "no uuid"}, {"id": ""}, {"x": "y"}, {"id": str(uuid4())}):
            stranger._take(**members)
            assert (await stranger.page("/dashboard")).status == 303


async def test_a_session_row_of_a_cipher_for_another_purpose_is_that_of_a_stranger(site: Gateway, ada: Browser) -> None:
    name = site.app[COOKIE].cookie_name
    data = site.app[VAULT].cipher("nijika session cookie").decrypt(ada.cookie)
    foreign = site.app[VAULT].cipher("nijika sign-in").encrypt(data).decode()
    async with browser(site) as stranger:
        stranger.client.cookie_jar.update_cookies({name: foreign}, URL(site.url))

        assert (await stranger.page("/dashboard")).status == 303


@pytest.mark.parametrize(
    ("change", "lives"),
    [
        ("seen_at = now() - interval '6 days 23 hours'", True),
        ("seen_at = now() - interval '7 days 1 hour'", False),
        ("expires_at = now() + interval '1 minute'", True),
        ("expires_at = now() - interval '1 second'", False),
    ],
)
async def test_a_session_ends_after_a_week_without_use_and_after_thirty_days(
    site: Gateway, ada: Browser, change: str, lives: bool
) -> None:
    await site.pool.execute(f"UPDATE sessions SET {change}")

    assert (await ada.page("/dashboard")).status == (200 if lives else 303)


async def test_a_new_session_lasts_for_thirty_days(site: Gateway, ada: Browser) -> None:
    lasts = await site.pool.fetchval("SELECT expires_at - created_at FROM sessions")

    assert lasts == timedelta(days=30) == timedelta(seconds=site.app[SESSION_LIFE].total)


async def test_a_use_is_noted_with_place_and_device_but_not_each_time(site: Gateway, ada: Browser) -> None:
    await site.pool.execute("UPDATE sessions SET seen_at = now() - interval '5 minutes'")
    await ada.page("/dashboard", **{"User-Agent": "Mozilla/5.0 (iPhone) Safari/605.1"})
    first = await site.pool.fetchrow("SELECT seen_at, agent FROM sessions")
    await ada.page("/dashboard", **{"User-Agent": "curl/8"})

    again = await site.pool.fetchrow("SELECT seen_at, agent FROM sessions")

    assert first == again
    assert sessions.device(first["agent"]) == "Safari on iPhone"


async def test_ending_a_session_signs_that_browser_out_and_ends_its_own_key(site: Gateway, ada: Browser) -> None:
    assert ada.user is not None
    async with browser(site, ada.user) as other:
        account = await site.pool.fetchval("SELECT account FROM users WHERE id = $1", ada.user)
        await site.pool.execute(
            "INSERT INTO keys (account, name, digest, hint, session) VALUES ($1, 'k', '\\x00', 'hint', $2)",
            account,
            other.session,
        )

        listed = await ada.page("/dashboard/account")
        ended = await ada.send(f"/dashboard/account/sessions/{other.session}/end")
        after = await other.page("/dashboard")

    assert listed.text.count("Firefox on Linux") >= 2
    assert (ended.status, after.status, (await ada.page("/dashboard")).status) == (303, 303, 200)
    assert await site.pool.fetchval("SELECT revoked_at IS NOT NULL FROM keys")


async def test_all_other_sessions_can_be_ended_at_once(site: Gateway, ada: Browser) -> None:
    assert ada.user is not None
    for _ in range(3):
        await begin(site, ada.user)

    await ada.send("/dashboard/account/sessions/end-others")

    assert await site.pool.fetch("SELECT id FROM sessions") == [(ada.session,)]


async def test_the_session_of_somebody_else_cannot_be_ended(site: Gateway, ada: Browser) -> None:
    theirs = await begin(site, await person(site, name="bob"))

    answers = [
        (await ada.send(f"/dashboard/account/sessions/{session}/end")).status
        for session in (theirs, UUID(int=1), "nothing")
    ]

    assert answers == [404, 404, 404]
    assert await site.pool.fetchval("SELECT count(*) FROM sessions WHERE id = $1", theirs) == 1


async def test_no_form_is_taken_without_its_token_or_from_another_site(site: Gateway, ada: Browser) -> None:
    """Every POST route for browsers there is, so that none is forgotten."""
    forms = [route for route in site.app[TABLE] if route.who != "anyone" and "POST" in route.methods]
    await site.pool.execute("UPDATE users SET role = 'admin'")
    async with browser(site, await person(site, name="bob", role="admin")) as bob:
        foreign_token = bob.token
    before = await _everything(site)

    for route in forms:
        path = route.path.replace("{id}", "1")
        attempts = {
            "no token": await ada.send(path, token=None),
            "another's token": await ada.send(path, token=foreign_token),
            "foreign origin": await ada.send(path, origin="https://evil.example"),
            "opaque origin": await ada.send(path, origin="null"),
            "other port": await ada.send(path, origin="http://127.0.0.1:1"),
            "no origin, but another site": await ada.send(path, origin=None, site="cross-site"),
        }
        assert {name: answer.status for name, answer in attempts.items()} == dict.fromkeys(attempts, 403), path

    assert len(forms) > 10
    assert await _everything(site) == before


async def test_a_form_of_another_type_is_not_read(site: Gateway, ada: Browser) -> None:
    """Types that other sites may send without asking: text/plain with the token in it is no form."""
    headers = {**PAGE, "Content-Type": "text/plain", "Cookie": f"{site.app[COOKIE].cookie_name}={ada.cookie}"}
    async with site.session.post("/auth/logout", data=f"token={ada.token}", headers=headers) as answer:
        assert answer.status == 415

    assert (await ada.page("/dashboard")).status == 200


@pytest.mark.parametrize("charset", ["no-such-charset", "utf-16", "unicode_escape", "utf-7"])
async def test_a_form_that_is_no_utf8_is_refused_with_a_sentence(site: Gateway, ada: Browser, charset: str) -> None:
    headers = {
        **PAGE,
        "Content-Type": f"application/x-www-form-urlencoded; charset={charset}",
        "Cookie": f"{site.app[COOKIE].cookie_name}={ada.cookie}",
    }
    async with site.session.post("/auth/logout", data=b"token=%5Cud800&x=%ff", headers=headers) as answer:
        assert answer.status in {403, 422}


async def test_no_get_changes_anything(site: Gateway, ada: Browser) -> None:
    await site.pool.execute("UPDATE users SET role = 'admin'")
    before = await _everything(site)
    pages = [route.path for route in site.app[TABLE] if route.who != "anyone" and "GET" in route.methods]

    statuses = {path: (await ada.page(path.replace("{id}", "1"))).status for path in pages}

    assert await _everything(site) == before
    assert {status for path, status in statuses.items() if "/auth/" not in path} <= {200, 303}


async def test_pages_are_framed_by_nobody_and_run_no_foreign_script(site: Gateway, ada: Browser) -> None:
    headers = (await ada.page("/dashboard")).headers

    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_with_the_database_away_pages_say_so_and_sign_nobody_out(site: Gateway, ada: Browser) -> None:
    await site.pool.execute("ALTER TABLE sessions RENAME TO hidden")
    cookie = ada.cookie
    await site.pool.close()

    page = await ada.page("/dashboard")

    assert page.status == 503
    assert "Please try again" in page.text or "try again" in page.text
    assert ada.cookie == cookie


async def _everything(gateway: Gateway) -> list[object]:
    tables = ("users", "accounts", "keys", "caps", "identities", "journal", "audit", "signup_bonuses")
    found: list[object] = [await gateway.pool.fetch(f"SELECT * FROM {table} ORDER BY 1") for table in tables]
    return [*found, await gateway.pool.fetch('SELECT id, "user", expires_at FROM sessions ORDER BY 1')]
