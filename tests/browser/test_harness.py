"""The checks of the harness can fail, a page with a strict CSP passes them, and the providers are another site."""

import struct
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page
from yarl import URL

from tests.browser.chromium import new_page
from tests.browser.conftest import Open
from tests.browser.look import SCREENS, axe, axe_everywhere, screenshot
from tests.browser.watch import Watch
from tests.providers.client import Client
from tests.providers.provider import Provider

STRICT = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; require-trusted-types-for 'script'"
)
HEAD = '<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>A page</title>'
PAGES = {
    "good": '<link rel="stylesheet" href="style.css"><main><h1>Good</h1><p>All is well.</p></main>',
    "bad": '<main><h1>Bad</h1><img src="data:,"><input></main>',
    "console": "<script>console.error('spilled')</script>",
    "error": "<script>throw new Error('broken')</script>",
    "csp": "<h1 style='color: red'>Loud</h1>",
    "script": "<script>document.title = 'inline'</script>",
    "foreign": "<img src='http://stranger.example/pixel.gif'>",
    "missing": "<img src='missing.gif' alt='A picture'>",
}
COMPLAINTS = {
    "console": "console: spilled",
    "error": "page error: broken",
    "csp": "CSP: style-src-attr forbids inline",
    "script": "CSP: script-src-elem forbids inline",
    "foreign": "request to http://stranger.example, which no watch.allow",
    "missing": "status of 404",
}
LENIENT = {"console", "error", "foreign"}
STYLE = "@media (prefers-color-scheme: dark) { html { background: #111; color: #eee } p { color: #222 } }"


async def _serve(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name == "style.css":
        return web.Response(text=STYLE, content_type="text/css")
    if name not in PAGES:
        raise web.HTTPNotFound
    policy = {} if name in LENIENT else {"Content-Security-Policy": STRICT}
    return web.Response(text=HEAD + PAGES[name], content_type="text/html", headers=policy)


@pytest.fixture
async def site() -> AsyncIterator[URL]:
    """The pages above."""
    app = web.Application()
    app.router.add_get("/{name}", _serve)
    async with TestServer(app) as server:
        yield server.make_url("/")


async def test_a_good_page_with_a_strict_csp_has_no_complaints(page: Page, watch: Watch, site: URL) -> None:
    watch.allow(site)

    await page.goto(f"{site}good")

    assert await axe(page) == []
    assert watch.complaints == []


async def test_axe_names_rule_impact_and_element(page: Page, watch: Watch, site: URL) -> None:
    watch.allow(site)

    await page.goto(f"{site}bad")
    found = await axe(page)

    assert any(text.startswith("critical image-alt at img: ") for text in found)
    assert any(text.startswith("critical label at input: ") for text in found)


async def test_axe_looks_by_night_too(page: Page, watch: Watch, site: URL) -> None:
    watch.allow(site)

    await page.goto(f"{site}good")
    found = await axe_everywhere(page)

    assert {text.split(" at ")[0] for text in found} == {
        "phone-dark: serious color-contrast",
        "desktop-dark: serious color-contrast",
    }


async def test_what_no_page_may_do_is_complained_about(browser: Browser, site: URL) -> None:
    verdicts = {}

    for name in COMPLAINTS:
        watch = Watch()
        watch.allow(site)
        page = await new_page(browser, watch)
        await page.goto(f"{site}{name}")
        await page.context.close()
        verdicts[name] = "\n".join(watch.verdict())

    assert {name: COMPLAINTS[name] in verdict for name, verdict in verdicts.items()} == dict.fromkeys(COMPLAINTS, True)


async def test_a_page_of_an_origin_that_nobody_allowed_is_complained_about(browser: Browser, site: URL) -> None:
    watch = Watch()
    page = await new_page(browser, watch)

    await page.goto(f"{site}good")

    assert f"request to {site.origin()}, which no watch.allow() names: {site}good" in watch.verdict()


async def test_an_expected_complaint_is_forgiven_but_has_to_come(page: Page, watch: Watch, site: URL) -> None:
    watch.allow(site)
    watch.expect("status of 404")

    assert watch.verdict() == ["there was no complaint like 'status of 404'"]
    await page.goto(f"{site}missing")
    await page.context.close()
    assert watch.complaints != []
    assert watch.verdict() == []


async def test_a_page_is_pictured_in_four_looks(page: Page, watch: Watch, site: URL) -> None:
    watch.allow(site)
    await page.goto(f"{site}good")

    await screenshot(page, "harness")

    widths = {}
    for file in SCREENS.glob("harness-*.png"):
        (widths[file.stem],) = struct.unpack(">I", file.read_bytes()[16:20])
        file.unlink()
    assert widths == {
        "harness-phone-light": 390,
        "harness-phone-dark": 390,
        "harness-desktop-light": 1280,
        "harness-desktop-dark": 1280,
    }


async def test_a_page_without_scripts_is_watched_as_well(open_page: Open, watch: Watch, site: URL) -> None:
    watch.allow(site)
    page = await open_page(java_script_enabled=False)
    watch.expect("violates .*style-src")

    await page.goto(f"{site}csp")

    assert await page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(0, 0, 0)"


async def test_the_way_back_from_a_provider_is_cross_site(page: Page, watch: Watch, provider: Provider) -> None:
    async def start(request: web.Request) -> web.Response:
        callback = str(request.url.with_path("/callback"))
        await provider.allow(callback)
        answer = web.Response(status=303, headers={"Location": str(client.start(redirect_uri=callback))})
        answer.set_cookie("lax", "1", samesite="Lax")
        answer.set_cookie("strict", "1", samesite="Strict")
        return answer

    async def callback(request: web.Request) -> web.Response:
        return web.Response(text=f"{HEAD}<h1>{sorted(request.cookies)}</h1>", content_type="text/html")

    client = Client(provider, provider.session)
    await provider.person(1, name="Ada")
    app = web.Application()
    app.router.add_get("/start", start)
    app.router.add_get("/callback", callback)
    async with TestServer(app) as server:
        watch.allow(server.make_url("/"), provider.url)

        await page.goto(str(server.make_url("/start")))
        await page.get_by_role("button", name="Ada").click()
        cookies = await page.get_by_role("heading").inner_text()

    assert cookies == "['lax']"
