"""The front page says what is sold, and brings nothing from elsewhere."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import Start
from tests.gateway import Gateway, configuration, upstream_table
from tests.peers import raw

SITE = '[[routes]]\nuse = "site"\n'
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
