"""The page shows the document to people, and a key only to whoever it belongs to and asks for it."""

import asyncio
import html
import json
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from nijika.state import PUBLIC_URL, VAULT
from nijika.store import keys
from tests.browsing import browser, person, user_of
from tests.gateway import Customer, Gateway
from tests.plugins.openapi.reading import document, operations


async def test_the_page_has_every_call_with_its_price_and_examples(site: Gateway) -> None:
    found = await document(site)
    async with browser(site) as stranger:
        page = await stranger.page("/docs")

    assert page.status == 200
    for name, operation in operations(found):
        path = name.partition(" ")[2]
        assert f'<a href="#{operation["operationId"]}">' in page.text
        assert f'id="{operation["operationId"]}"' in page.text
        assert f"<code>{path}</code>" in page.text
    assert "1 credit</span>" in page.text
    assert page.text.count("<summary>curl</summary>") == page.text.count("<summary>JavaScript</summary>") == 12
    assert "idempotency-key-reused" in page.text
    assert "style=" not in page.text
    assert "<script>" not in page.text


async def test_on_a_narrow_screen_each_cell_says_the_name_of_its_column(site: Gateway) -> None:
    async with site.session.get("/docs") as answer:
        page = await answer.text()

    assert '<table class="stack">' in page
    assert re.findall(r"<td(?! data-label=)[^>]*>", page) == []


async def test_a_head_is_asked_for_as_one(site: Gateway) -> None:
    async with browser(site) as stranger:
        page = html.unescape((await stranger.page("/docs")).text)

    article = page[page.index('id="head_files_rest"') :].partition("</article>")[0]
    assert "curl --fail-with-body --head" in article
    assert "print(dict(answer.headers))" in article
    assert "Object.fromEntries(answer.headers)" in article
    assert "json" not in article


async def test_a_stranger_sees_no_key_and_cannot_ask_for_one(site: Gateway) -> None:
    async with browser(site) as stranger:
        page = await stranger.page("/docs")
        asked = await stranger.send("/docs")

    assert "X-API-Key: nj_live_…" in html.unescape(page.text)
    assert asked.status == 401


async def test_the_examples_carry_the_own_key_masked(site: Gateway, customer: Customer) -> None:
    async with browser(site, await user_of(customer)) as owner:
        page = await owner.page("/docs")

    assert customer.key not in page.text
    assert f"nj_live_…{customer.key[-4:]}" in page.text


async def test_the_whole_key_is_shown_on_request_and_never_by_a_get(site: Gateway, customer: Customer) -> None:
    async with browser(site, await user_of(customer)) as owner:
        shown = await owner.send("/docs")
        forged = await owner.send("/docs", token=None)
        foreign = await owner.send("/docs", origin="https://evil.example")
        after = await owner.page("/docs")

    assert shown.text.count(f"X-API-Key: {customer.key}") == 6
    assert shown.headers["Cache-Control"] == "no-store"
    assert (forged.status, foreign.status) == (403, 403)
    assert customer.key not in forged.text + foreign.text + after.text


async def test_an_example_carries_the_oldest_living_key_that_may_make_the_call(
    site: Gateway, customer: Customer
) -> None:
    user = await user_of(customer)
    made: dict[str, str] = {}
    async with browser(site, user) as owner:
        async with site.pool.acquire() as connection:
            await connection.execute("UPDATE keys SET revoked_at = now()")
            for name, more in {
                "expired": {"expires_at": datetime.now(UTC) - timedelta(seconds=1)},
                "of the session": {"session": owner.session},
                "unreadable": {},
                "scoped": {"scopes": ["/api/removebg"]},
                "whole": {},
                "newest": {},
            }.items():
                key = await keys.make(connection, site.app[VAULT], account=customer.account, name=name, **more)  # type: ignore[arg-type] # one of each kind
                made[name] = key.text
            await connection.execute("UPDATE keys SET sealed = NULL WHERE name = 'unreadable'")
        shown = html.unescape((await owner.send("/docs")).text)

    examples = re.findall(r"curl --fail-with-body.*?</code>", shown, re.DOTALL)
    carried = {name: [text for text in examples if made[name] in text] for name in made}
    assert [name for name, found in carried.items() if found] == ["scoped", "whole"]
    assert ["/api/removebg" in text for text in carried["scoped"]] == [True]
    assert len(carried["whole"]) == 5


async def test_nobody_sees_the_key_of_another(site: Gateway, customer: Customer) -> None:
    async with browser(site, await person(site, name="bob")) as bob:
        shown = await bob.send("/docs")

    assert customer.key not in shown.text
    assert "You have no key" in shown.text


async def test_the_curl_example_runs_as_it_stands(site: Gateway, customer: Customer) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl")
    async with browser(site, await user_of(customer)) as owner:
        shown = html.unescape((await owner.send("/docs")).text)
    example = next(text for text in re.findall(r"<code>(curl .*?)</code>", shown, re.DOTALL) if "/api/account" in text)

    command = example.replace(site.app[PUBLIC_URL], site.url)
    process = await _run(command)

    assert json.loads(process)["account"] == customer.account


async def _run(command: str) -> bytes:
    process = await asyncio.create_subprocess_shell(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, error = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0, error
    return out
