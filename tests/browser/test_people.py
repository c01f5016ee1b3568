"""People in a real browser: signing in, linking, keys, the playground, staff; and how every page looks."""

import csv
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Page, expect

from nijika.state import VAULT
from nijika.webhooks.signature import Seal
from tests.browser.conftest import Open
from tests.browser.house import House, opened
from tests.browser.look import axe_everywhere, screenshot
from tests.browser.watch import Watch
from tests.providers.provider import Provider
from tests.webhooks.receiver import receiving

SAMPLE = Path(__file__).parents[2] / "samples" / "mug.jpg"


@pytest.fixture
async def house(
    database: str, tmp_path: Path, github: Provider, gitlab: Provider, watch: Watch
) -> AsyncIterator[House]:
    await github.person(1, name="Ada Lovelace")
    await gitlab.person(2, name="Ada at GitLab", email="other@example.com")
    async with opened(database, tmp_path, github, gitlab, watch) as house:
        yield house


@pytest.fixture
async def ada(house: House, page: Page) -> Page:
    """Ada has signed in by GitHub."""
    await house.sign_in(page, house.github)
    return page


@pytest.mark.parametrize("name", ["github", "gitlab"])
async def test_one_signs_in_by_each_provider_and_out_again(house: House, page: Page, name: str) -> None:
    await house.sign_in(page, house.github if name == "github" else house.gitlab, 1 if name == "github" else 2)

    await expect(page).to_have_url(f"{house.url}/dashboard")
    await expect(page.locator(".who .name")).to_contain_text("Ada")
    await page.click("text=Sign out")
    await expect(page.locator(".who >> text=Sign in")).to_be_visible()
    assert await page.context.cookies() == [] or not [
        cookie for cookie in await page.context.cookies(house.url) if cookie["name"].startswith("nijika")
    ]
    await page.goto(f"{house.url}/dashboard/keys")
    assert "/login?next=" in page.url


async def test_after_the_sign_in_one_is_where_one_wanted_to_be(house: House, page: Page) -> None:
    await page.goto(f"{house.url}/dashboard/transactions?kind=refunded")
    await page.click("text=Continue with GitHub")
    await page.click('button[name="login"][value="1"]')

    await expect(page).to_have_url(f"{house.url}/dashboard/transactions?kind=refunded")


async def test_a_second_provider_is_linked_and_unlinked(house: House, ada: Page) -> None:
    await ada.goto(f"{house.url}/dashboard/account")
    await ada.click("button:has-text('Link')")
    await ada.click('button[name="login"][value="2"]')

    await expect(ada.get_by_role("status")).to_contain_text("GitLab is linked to your account")
    await ada.locator("tr", has_text="person2").get_by_role("button").click()
    await expect(ada.get_by_role("status")).to_contain_text("“person2” is unlinked")
    await expect(ada.locator("tr", has_text="person1")).to_contain_text("the only one")


async def test_a_key_is_revealed_copied_and_rotated(house: House, ada: Page) -> None:
    await ada.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await ada.click("nav >> text=Keys")
    await ada.click("text=Reveal")
    key = await ada.locator("code[data-copy]").inner_text()
    await ada.click("text=Copy")
    await expect(ada.locator("text=Copied")).to_be_visible()
    copied = await ada.evaluate("navigator.clipboard.readText()")
    await ada.click("text=Rotate…")
    await ada.select_option("select[name=overlap]", "0")
    await ada.click("button:text-is('Rotate')")

    await expect(ada.get_by_role("status")).to_contain_text("has a new key")
    assert re.fullmatch(r"nj_live_[0-9A-Za-z]{49}", key)
    assert copied == key
    async with house.gateway.session.get("/api/account", headers={"X-API-Key": key}) as answer:
        assert answer.status == 401


async def test_a_key_is_made_with_scope_and_cap_without_a_script(house: House, open_page: Open) -> None:
    page = await open_page(java_script_enabled=False)
    await house.sign_in(page, house.github)
    await page.click("nav >> text=Keys")
    await page.fill("#name", "web shop")
    await page.fill("#day_max", "2.5")
    await page.check("input[value='/api/removebg']")
    await page.click("text=Make the key")

    card = page.locator(".key", has_text="web shop")
    await expect(card).to_contain_text("2.5 a day")
    await expect(card).to_contain_text("/api/removebg")


async def test_the_playground_cuts_a_picture_out_for_its_price(house: House, ada: Page, tmp_path: Path) -> None:
    await ada.click("nav >> text=Playground")
    await ada.set_input_files("#file", SAMPLE)
    await ada.click("#run")
    await expect(ada.locator("#fact-charged")).to_have_text(re.compile(r"0\.01"), timeout=30_000)
    await ada.locator("#slider-range").focus()
    await ada.keyboard.press("ArrowRight")
    async with ada.expect_download() as download:
        await ada.click("#download")
    file = tmp_path / "cutout"
    await (await download.value).save_as(file)
    await ada.goto(f"{house.url}/dashboard")

    with Image.open(file) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGBA", (1200, 900))
    await expect(ada.locator("dl.stats")).to_contain_text("49.99")
    assert await house.gateway.violations() == {}


async def test_the_playground_tells_a_refusal_in_its_sentence(house: House, ada: Page, watch: Watch) -> None:
    watch.expect("status of 415")
    await ada.click("nav >> text=Playground")
    await ada.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": b"no picture at all"})
    await ada.click("#run")

    await expect(ada.locator("#problem")).to_contain_text("no picture", timeout=30_000)
    await ada.goto(f"{house.url}/dashboard/transactions")
    await expect(ada.locator("main")).to_contain_text("The worker did not accept it (status 415).")


async def test_a_webhook_is_added_tested_and_its_secret_is_copied(house: House, ada: Page) -> None:
    async with receiving() as receiver:
        await ada.click("nav >> text=Webhooks")
        await ada.fill("#url", receiver.url)
        await ada.click("text=Add the webhook")
        await ada.click("text=Reveal")
        secret = await ada.locator("code[data-copy]").inner_text()
        await ada.fill("#amount-0", "10")
        await ada.click("text=Set the thresholds")
        await ada.click("text=Send a test")
        (got,) = await receiver.count(1)
        await ada.reload()

        await expect(ada.locator("#sent")).to_contain_text("arrived")
        await expect(ada.locator("#amount-0")).to_have_value("10")
        await expect(ada.locator("h2", has_text=receiver.url)).to_be_visible()
    assert got.verified(secret)["type"] == "webhook.test"


async def test_transactions_are_downloaded_as_a_file(house: House, ada: Page, tmp_path: Path) -> None:
    await ada.click("nav >> text=Transactions")
    async with ada.expect_download() as download:
        await ada.click("text=Download as CSV")
    file = tmp_path / "file.csv"
    await (await download.value).save_as(file)

    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["kind"], row["change"], row["reason"]) for row in rows] == [("grant", "50", "signup")]


async def test_an_admin_gives_and_takes_credits_and_never_below_zero(house: House, ada: Page, watch: Watch) -> None:
    watch.expect("status of 409")
    await house.make_admin(1)
    await ada.goto(f"{house.url}/staff/users/1")

    for amount, seen in (("12.5", "62.5"), ("-2.5", "60")):
        await ada.fill("input[name=amount]", amount)
        await ada.locator("form:has(input[name=amount]) [name=reason]").fill("a test")
        await ada.locator("form:has(input[name=amount]) button").click()
        await expect(ada.locator("main")).to_contain_text(seen)
    await ada.fill("input[name=amount]", "-1000")
    await ada.locator("form:has(input[name=amount]) [name=reason]").fill("too much")
    await ada.locator("form:has(input[name=amount]) button").click()

    await expect(ada.locator("main")).to_contain_text("cannot go below zero")
    assert await house.gateway.violations() == {}


PAGES = {
    "landing": "/",
    "docs": "/docs",
    "dashboard": "/dashboard",
    "keys": "/dashboard/keys",
    "usage": "/dashboard/usage?span=24h",
    "transactions": "/dashboard/transactions",
    "webhooks": "/dashboard/webhooks",
    "account": "/dashboard/account",
    "playground": "/playground",
    "staff-users": "/staff",
    "staff-user": "/staff/users/1",
    "staff-system": "/staff/system",
    "staff-ledger": "/staff/system/ledger",
    "staff-audit": "/staff/audit",
}


async def test_axe_finds_nothing_wrong_with_any_page_in_any_look(house: House, ada: Page, watch: Watch) -> None:
    watch.expect("status of 404")
    await house.make_admin(1)
    await _some_life(house)
    found: dict[str, list[str]] = {}

    for name, path in PAGES.items():
        await ada.goto(f"{house.url}{path}")
        await screenshot(ada, name)
        found[name] = await axe_everywhere(ada)
        found[f"{name} overflows"] = await _overflow(ada)
    await ada.goto(f"{house.url}/nothing/here")
    found["problem"] = await axe_everywhere(ada)
    await screenshot(ada, "problem")
    await ada.click("text=Sign out")
    await ada.goto(f"{house.url}/login")
    found["login"] = await axe_everywhere(ada)
    await screenshot(ada, "login")

    assert {name: violations for name, violations in found.items() if violations} == {}


async def test_long_names_and_empty_pages_look_right_on_a_phone(house: House, open_page: Open) -> None:
    await house.github.person(3, name="W" * 100, login="w" * 39, emails=[])
    await house.github.person(4, name="\u202eevil<script>{{7*7}}</script>", login="evil", emails=[])
    page = await open_page(viewport={"width": 320, "height": 640})
    wide: dict[str, list[str]] = {}

    for person in (3, 4):
        await house.sign_in(page, house.github, person)
        for name, path in PAGES.items():
            if not name.startswith("staff"):
                await page.goto(f"{house.url}{path}")
                wide[f"{person} {name}"] = await _overflow(page)
        await screenshot(page, f"long-name-{person}")
        await page.click("text=Sign out")

    assert {name: found for name, found in wide.items() if found} == {}


async def _overflow(page: Page) -> list[str]:
    """Elements that make the page wider than a phone."""
    before = page.viewport_size
    await page.set_viewport_size({"width": 320, "height": 640})
    width = await page.evaluate("document.documentElement.scrollWidth")
    if before:
        await page.set_viewport_size(before)
    return [] if width <= 320 else [f"{width} pixels wide"]


async def _some_life(house: House) -> None:
    """Calls of Ada's that were paid and refunded, so that charts and lists have something to show."""
    app = house.gateway.app
    sealed = await house.gateway.pool.fetchval("SELECT sealed FROM keys WHERE account = 1 ORDER BY id LIMIT 1")
    key = app[VAULT].open(sealed)
    assert key is not None
    await _some_webhooks(house)
    for body in (SAMPLE.read_bytes(), b"no picture", SAMPLE.read_bytes()):
        async with house.gateway.session.post("/api/removebg", data=body, headers={"X-API-Key": key}) as answer:
            await answer.read()


async def _some_webhooks(house: House) -> None:
    """Webhooks of Ada's in each state, and messages that arrived, wait and did not arrive."""
    pool, sealed = house.gateway.pool, Seal(house.gateway.app[VAULT]).make()
    await pool.execute(
        """INSERT INTO webhooks (account, url, events, sealed, former_until, stopped_at, stopped_by, failing_since)
           VALUES (1, 'https://shop.example.com/hooks/credits', '{balance.low,credits.granted}', $1,
                   now() + interval '1 day', NULL, NULL, NULL),
                  (1, 'https://old.example.com/' || repeat('long', 100), '{balance.exhausted}', $1,
                   NULL, now(), 'failing', now() - interval '4 days'),
                  (1, 'https://gone.example.com/', '{balance.low}', $1, NULL, now(), 'gone', now())""",
        sealed,
    )
    await pool.execute(
        """INSERT INTO webhook_deliveries (webhook, message, event, data, state, next_at, attempts, status, milliseconds, error)
           VALUES (1, gen_random_uuid(), 'balance.low', '{"account": 1, "threshold": "10", "available": "9.99", "held": "0"}',
                   'delivered', NULL, 1, 204, 120, NULL),
                  (1, gen_random_uuid(), 'credits.granted', '{"account": 1, "amount": "25"}',
                   'waiting', now() + interval '2 hours', 5, 503, 80, 'The server answered 503.'),
                  (2, gen_random_uuid(), 'balance.exhausted', '{"account": 1, "threshold": "0.01"}',
                   'failed', NULL, 10, NULL, 15000, 'No answer came within 15 seconds.')"""
    )
    await pool.execute("INSERT INTO webhook_thresholds VALUES (1, 'balance.low', 10000000, true)")
