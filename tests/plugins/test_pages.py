"""What holds for every page there is, whoever wrote it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nijika.state import COOKIE
from nijika.state import ROUTES as TABLE
from tests.browsing import SESSION_CHAIN, browser, person
from tests.gateway import ROUTES, Gateway, configuration, loaded, serving, upstream_table
from tests.peers import answers, raw
from tests.peers.upstream import Upstream

NAMES = ("site", "login", "dashboard", "playground", "staff", "openapi")
HOSTILE = (
    "<script>alert(1)</script>",
    "{{7*7}}",
    "${7*7}",
    "'\"><img src=x onerror=alert(1)>",
    "</title><b>",
    "a\u202eb",
)


@pytest.fixture
async def site(database: str, tmp_path: Path, upstream: Upstream) -> AsyncIterator[Gateway]:
    upstream.plan("*", answers.answer(200, b"cut-out"))
    pages = "".join(f'[[routes]]\nuse = "{name}"\n' for name in NAMES)
    text = configuration(upstream_table(upstream.url), chain=SESSION_CHAIN, routes=ROUTES + pages)
    async with serving(loaded(tmp_path, text), database, is_public=True) as gateway:
        yield gateway


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_what_people_call_themselves_and_theirs_is_text_on_every_page(site: Gateway, hostile: str) -> None:
    user = await person(site, name=hostile, role="admin")
    await site.pool.execute(
        """INSERT INTO keys (account, name, digest, hint, scopes) SELECT account, $2, '\\x00', '<b>', ARRAY[$2]
             FROM users WHERE id = $1""",
        user,
        hostile,
    )
    await site.pool.execute(
        """INSERT INTO identities (issuer, subject, provider, "user", login, linked_by)
           VALUES ('https://h', '<i>', 'github', $1, $2, 'e-mail')""",
        user,
        hostile,
    )
    await site.pool.execute(
        "INSERT INTO audit (actor, subject, action, before, after, reason) VALUES ($1, $1, $2, $3, $3, $2)",
        user,
        hostile,
        '{"name": "<script>alert(1)</script>"}',
    )
    await site.pool.execute(
        """INSERT INTO charges (id, account, key, route, held, state, owner, deadline, reason, settled_at)
           SELECT gen_random_uuid(), account, 1, $2, 5, 'refunded', gen_random_uuid(), now(), $2, now()
             FROM users WHERE id = $1""",
        user,
        hostile,
    )
    pages = [route.path for route in site.app[TABLE] if route.who != "anyone" and "GET" in route.methods]

    async with browser(site, user) as here:
        await site.pool.execute("UPDATE sessions SET agent = $1", hostile)
        texts = {
            path: (await here.page(path.replace("{id}", str(user)))).text
            for path in pages
            if not path.startswith("/auth/") and not path.endswith(".csv")
        }

    assert len(texts) > 10
    for path, text in texts.items():
        for markup in ("<script>alert", "<img src=x", "</title><b>", "<i>", ">49<"):
            assert markup not in text, path


async def test_every_page_bounds_what_it_may_do_and_is_kept_by_nobody(site: Gateway) -> None:
    pages = [route.path for route in site.app[TABLE] if route.who != "anyone" and "GET" in route.methods]

    async with browser(site, await person(site, role="admin")) as here:
        for path in pages:
            answer = await here.page(path.replace("{id}", "1"))
            assert answer.headers["Cache-Control"] == "no-store", path
            if answer.status != 303:
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"], path
                assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin", path
                assert "onclick" not in answer.text, path
                assert "style=" not in answer.text, path


async def test_a_head_has_no_body_on_any_page(site: Gateway) -> None:
    """What is sent all the same would be taken for the next answer of the connection."""
    pages = [route.path for route in site.app[TABLE] if route.who != "anyone" and "GET" in route.methods]

    async with browser(site, await person(site, role="admin")) as here:
        cookie = f"{site.app[COOKIE].cookie_name}={here.cookie}"
        for path in (*pages, "/static/site.css", "/openapi.json"):
            async with raw.connect(site.url) as client:
                head = f"HEAD {path.replace('{id}', '1')} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n"
                await client.send(head.encode())
                reply = await client.reply("HEAD")
                await client.send(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                after = await client.reply("GET")
            assert reply.status < 500, path
            assert (after.status, after.body) == (200, b'{"status": "ok"}'), path


async def test_pages_have_their_files_and_no_dead_ends_whatever_else_is_configured(
    database: str, tmp_path: Path
) -> None:
    for names in (("dashboard",), ("site",), ("openapi",), ("staff",), ("playground",), ("login",)):
        pages = "".join(f'[[routes]]\nuse = "{name}"\n' for name in names)
        config = loaded(tmp_path, configuration("", chain=SESSION_CHAIN, routes=pages))
        async with serving(config, database, is_public=True) as gateway:
            async with browser(gateway, await person(gateway, role="admin")) as here:
                paths = {"dashboard": "/dashboard", "site": "/", "openapi": "/docs"}
                page = await here.page(paths.get(names[0], f"/{names[0]}"))
                style = await here.page("/static/site.css")
        assert page.status in {200, 303}, names
        assert style.status == 200, names
        assert ("/auth/logout" in page.text) == (names == ("login",) and page.status == 200), names


QUERIES = (
    "?before=-1",
    "?before=99999999999999999999",
    "?before=%00",
    "?search=%00",
    "?search=%ff%fe",
    "?search=" + "x" * 3000,
    "?kind=%00&route=%00&key=%00",
    "?since=0001-01-01&until=9999-12-31",
    "?since=%00",
    "?span[]=1&span=30d&span=24h&route=%00",
    "?next=%00&next=//x",
    "?code=%00&state=%00",
    "?error=<script>alert(1)</script>",
    "?key=9223372036854775808",
)


@pytest.mark.parametrize("query", QUERIES)
async def test_no_query_breaks_a_page(site: Gateway, query: str) -> None:
    pages = [route.path for route in site.app[TABLE] if route.who != "anyone" and "GET" in route.methods]

    async with browser(site, await person(site, role="admin")) as here:
        answers_ = {path: await here.page(path.replace("{id}", "1") + query) for path in pages}

    assert {path: answer.status for path, answer in answers_.items() if answer.status >= 500} == {}
    assert [path for path, answer in answers_.items() if "<script>alert" in answer.text] == []


FIELDS = (
    "name",
    "reason",
    "amount",
    "confirm",
    "overlap",
    "life",
    "day_max",
    "month_max",
    "scope",
    "role",
    "once",
    "next",
)


@pytest.mark.parametrize("value", ["", "\x00", "\ud800", "x" * 5000, "-1", "1e9", "\u0661", "9" * 40, "' OR 1=1 --"])
async def test_no_field_breaks_a_form(site: Gateway, value: str) -> None:
    """Every form there is, filled with what no page of ours would send."""
    forms = [route.path for route in site.app[TABLE] if route.who != "anyone" and "POST" in route.methods]
    statuses = {}

    for path in forms:
        async with browser(site, await person(site, role="admin")) as here:
            text = value.encode("utf-8", "surrogatepass").decode("latin-1") if value == "\ud800" else value
            answer = await here.send(path.replace("{id}", "1"), dict.fromkeys(FIELDS, text))
            statuses[path] = answer.status

    assert {path: status for path, status in statuses.items() if status >= 500} == {}
    assert await site.violations() == {}
