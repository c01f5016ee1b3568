"""The front page says what is sold, and brings nothing from elsewhere."""

import re
from collections.abc import AsyncIterator

import pytest

from tests.browsing import SESSION_CHAIN, browser, person
from tests.conftest import Start
from tests.gateway import Gateway, configuration, upstream_table
from tests.peers import raw

SITE = '[[routes]]\nuse = "site"\n'
CUTOUT = '[[routes]]\nuse = "proxy"\npath = "/cut"\nupstream = "worker"\ntarget = "/v1/cutout"\nprice = "0.01"\n'
PAINT = '[[routes]]\nuse = "proxy"\npath = "/api/<b>"\nupstream = "worker"\nprice = "1"\n'


async def test_the_page_lists_the_configured_routes_with_their_prices(start: Start) -> None:
    route = PAINT.replace("<b>", "paint")
    metered = PAINT.replace("<b>", "write").replace('"1"', '{ hold = "0.5", capture = "X-Nijika-Cost" }')
    text = configuration(upstream_table("http://127.0.0.1:9"), routes=SITE + route + metered)
    async with start(text) as gateway, gateway.session.get("/") as answer:
        page = await answer.text()

    assert answer.content_type == "text/html"
    assert "<code>POST /api/paint</code></td><td>1 credit</td><td>25 MiB</td>" in page
    assert "at most 0.5 credits, by use" in page
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<script" not in page
    assert "style=" not in page


async def test_what_the_operator_writes_is_escaped(start: Start) -> None:
    text = configuration(
        upstream_table("http://127.0.0.1:9"),
        routes=SITE + PAINT.replace("<b>", "a&amp'b"),
        server='public_url = "http://h"',
    )
    async with start(text) as gateway, gateway.session.get("/") as answer:
        page = await answer.text()

    assert "a&amp;amp&#39;b" in page


async def test_without_routes_the_page_says_so(start: Start) -> None:
    async with start(configuration("", routes=SITE)) as gateway, gateway.session.get("/") as answer:
        assert "Nothing yet" in await answer.text()


async def test_the_picture_is_shown_where_pictures_are_cut_out_and_only_there(start: Start) -> None:
    pages = []
    for routes in (SITE + PAINT.replace("<b>", "paint"), SITE + CUTOUT):
        async with start(configuration(upstream_table("http://127.0.0.1:9"), routes=routes)) as gateway:
            async with gateway.session.get("/") as answer:
                pages.append(await answer.text())

    without, having = pages
    assert "mug" not in without
    assert "<script" not in without
    assert re.findall(r"/static/(mug[a-z.-]+)\?v=", having) == ["mug-cutout.webp", "mug.jpg"]
    assert "for 0.01 credits" in having
    assert "-F image=@picture.jpg http://127.0.0.1:8080/cut" in having
    assert "style=" not in having
    assert re.findall(r"<script(.*?)>(.*?)</script>", having) == [
        (having.partition("<script")[2].partition(">")[0], "")
    ]


async def test_the_page_leads_strangers_to_the_sign_in_and_others_on(start: Start) -> None:
    rooms = "".join(f'[[routes]]\nuse = "{name}"\n' for name in ("login", "dashboard", "playground", "openapi"))
    bonus = '[credits]\nsignup_bonus = "12.5"\n'
    text = configuration(upstream_table("http://127.0.0.1:9") + bonus, chain=SESSION_CHAIN, routes=SITE + rooms)
    async with start(text) as gateway, browser(gateway) as stranger, browser(gateway, await person(gateway)) as ada:
        pages = [(await one.page("/")).text for one in (stranger, ada)]

    mains = [page.partition("<main")[2].partition("</main>")[0] for page in pages]
    assert re.findall(r'class="button[a-z ]*" href="([^"]+)"', mains[0]) == ["/login", "/docs"]
    assert re.findall(r'class="button[a-z ]*" href="([^"]+)"', mains[1]) == ["/dashboard", "/playground", "/docs"]
    assert "begins with 12.5 credits" in mains[0]
    assert "begins with" not in mains[1]


@pytest.fixture
async def site(start: Start) -> AsyncIterator[Gateway]:
    async with start(configuration("", routes=SITE)) as gateway:
        yield gateway


async def test_the_pages_files_are_served_and_no_others(site: Gateway) -> None:
    async with site.session.get("/static/site.css") as found:
        style = await found.text()
    statuses = []
    for name in ("nothing.css", "..%2fconfig.toml", "%2e%2e", "site.css%00", "site.css/x"):
        async with raw.connect(site.url) as client:
            statuses.append((await client.ask(f"GET /static/{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())).status)

    assert found.content_type == "text/css"
    assert "prefers-color-scheme" in style
    assert statuses == [404, 400, 400, 400, 404]


async def test_a_page_names_its_files_by_what_is_in_them_and_browsers_keep_those(site: Gateway) -> None:
    async with site.session.get("/") as answer:
        addresses = re.findall(r'"(/static/[^"]+)"', await answer.text())
    kept = []
    for address in addresses:
        async with site.session.get(address) as found:
            kept.append((found.status, found.headers["Cache-Control"]))

    assert len(addresses) >= 3
    assert set(kept) == {(200, "public, max-age=31536000, immutable")}


async def test_under_another_address_a_file_is_asked_for_again(site: Gateway) -> None:
    async with site.session.get("/static/site.css?v=older") as stale:
        pass
    async with site.session.get("/static/site.css") as plain:
        pass
    async with site.session.get("/static/site.css", headers={"If-None-Match": plain.headers["ETag"]}) as again:
        body = await again.read()

    assert stale.headers["Cache-Control"] == plain.headers["Cache-Control"] == "no-cache"
    assert (again.status, body) == (304, b"")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("compare.js", "text/javascript"), ("mug-cutout.webp", "image/webp"), ("mug.jpg", "image/jpeg")],
)
async def test_files_say_what_they_are(site: Gateway, name: str, kind: str) -> None:
    async with site.session.get(f"/static/{name}") as found:
        size = len(await found.read())

    assert (found.content_type, found.headers["X-Content-Type-Options"]) == (kind, "nosniff")
    assert size < 120_000
