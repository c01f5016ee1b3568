"""Keys are made, shown, rotated, capped and revoked by their holder, and by nobody else."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.gateway import Gateway
from tests.plugins.dashboard.conftest import Holder

PATH = "/dashboard/keys"
FORM = {"name": "web shop", "life": "", "day_max": "", "month_max": ""}


async def _keys(site: Gateway) -> list[dict[str, Any]]:
    return [dict(row) for row in await site.pool.fetch("SELECT * FROM keys ORDER BY id")]


async def _call(site: Gateway, key: str, path: str = "/api/removebg") -> int:
    async with site.session.post(path, data=b"x", headers={"X-API-Key": key}) as answer:
        return answer.status


async def _revealed(ada: Holder, key: int) -> str:
    page = await ada.browser.send(f"{PATH}/{key}/reveal")
    found = re.search(r"nj_live_[0-9A-Za-z]{49}", page.text)
    assert found is not None, page.text
    return found[0]


async def test_a_key_is_masked_until_its_holder_asks_for_it(ada: Holder) -> None:
    masked = await ada.browser.page(PATH)
    revealed = await ada.browser.send(f"{PATH}/1/reveal")
    again = await ada.browser.page(PATH)

    assert ada.customer.key not in masked.text + again.text
    assert f"nj_live_…{ada.customer.key[-4:]}" in masked.text
    assert ada.customer.key in revealed.text
    assert revealed.headers["Cache-Control"] == "no-store"


async def test_a_key_that_was_made_works_and_can_be_revealed(site: Gateway, ada: Holder) -> None:
    made = await ada.browser.send(PATH, FORM)
    page = await ada.browser.follow(PATH)

    key = await _revealed(ada, 2)
    assert made.status == 303
    assert "“web shop” is made" in page.text
    assert "“web shop” is made" not in (await ada.browser.page(PATH)).text
    assert key[-4:] in page.text
    assert await _call(site, key) == 200


async def test_a_key_has_the_scopes_expiry_and_caps_that_were_chosen(site: Gateway, ada: Holder) -> None:
    fields = [*(FORM | {"life": "7", "day_max": "2", "month_max": "10.5"}).items(), ("scope", "/api/removebg")]

    await ada.browser.send(PATH, fields)

    key = (await _keys(site))[1]
    assert key["scopes"] == ["/api/removebg"]
    assert abs(key["expires_at"] - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=1)
    text = await _revealed(ada, 2)
    assert [await _call(site, text) for _ in range(3)] == [200, 200, 402]
    async with site.session.get("/api/account", headers={"X-API-Key": text}) as answer:
        assert answer.status == 403


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": ""}, "The name is a line"),
        ({"name": "  "}, "The name is a line"),
        ({"name": "x" * 101}, "The name is a line"),
        ({"name": "a\nb"}, "The name is a line"),
        ({"day_max": "1,5"}, "decimal text"),
        ({"month_max": "-1"}, "decimal text"),
        ({"day_max": "0.0000001"}, "at most six decimals"),
        ({"life": "1000000"}, "Choose when the key ends"),
        ({"scope": "/api/nothing"}, "does not exist any more"),
    ],
)
async def test_a_mistake_shows_the_form_again_with_a_sentence_and_what_was_filled_in(
    site: Gateway, ada: Holder, change: dict[str, str], sentence: str
) -> None:
    page = await ada.browser.send(PATH, FORM | {"month_max": "77"} | change)

    assert page.status == 422
    assert sentence in page.text
    assert 'value="77"' in page.text or "month_max" in change
    assert len(await _keys(site)) == 1


async def test_rotating_lets_the_old_key_go_on_for_the_overlap(site: Gateway, ada: Holder) -> None:
    fields = [*(FORM | {"month_max": "10"}).items(), ("scope", "/api/removebg")]
    await ada.browser.send(PATH, fields)
    old = await _revealed(ada, 2)

    await ada.browser.send(f"{PATH}/2/rotate", {"overlap": "24"})

    rows = await _keys(site)
    new = await _revealed(ada, 3)
    assert new != old
    assert (rows[2]["name"], rows[2]["scopes"], rows[2]["expires_at"]) == ("web shop", ["/api/removebg"], None)
    assert abs(rows[1]["expires_at"] - datetime.now(UTC) - timedelta(hours=24)) < timedelta(minutes=1)
    assert [await _call(site, key) for key in (old, new)] == [200, 200]
    assert await site.pool.fetchval("SELECT month_max FROM caps WHERE key = 3") == 10_000_000
    await site.pool.execute("UPDATE keys SET expires_at = now() WHERE id = 2")
    assert [await site.soon(old, 401), await _call(site, new)] == [401, 200]


async def test_rotating_at_once_ends_the_old_key(site: Gateway, ada: Holder) -> None:
    await ada.browser.send(f"{PATH}/1/rotate", {"overlap": "0"})

    assert await _call(site, ada.customer.key) == 401
    assert await _call(site, await _revealed(ada, 2)) == 200


async def test_rotating_does_not_begin_the_cap_anew(site: Gateway, ada: Holder) -> None:
    await ada.browser.send(f"{PATH}/1/cap", {"day_max": "2", "month_max": ""})
    statuses = [await _call(site, ada.customer.key)]

    await ada.browser.send(f"{PATH}/1/rotate", {"overlap": "0"})

    key = await _revealed(ada, 2)
    statuses += [await _call(site, key) for _ in range(2)]
    assert statuses == [200, 200, 402]
    assert await site.violations() == {}


async def test_an_overlap_never_makes_a_key_live_longer(site: Gateway, ada: Holder) -> None:
    await site.pool.execute("UPDATE keys SET expires_at = now() + interval '1 hour'")
    end = (await _keys(site))[0]["expires_at"]

    await ada.browser.send(f"{PATH}/1/rotate", {"overlap": "168"})

    assert [key["expires_at"] for key in await _keys(site)] == [end, end]


async def test_a_revoked_key_is_refused_at_once_and_listed_among_those_that_ended(site: Gateway, ada: Holder) -> None:
    await ada.browser.send(f"{PATH}/1/revoke")

    assert await _call(site, ada.customer.key) == 401
    page = (await ada.browser.follow(PATH)).text
    assert "1 that ended" in page
    assert "No key yet" in page


async def test_caps_can_be_set_and_lifted(site: Gateway, ada: Holder) -> None:
    await ada.browser.send(f"{PATH}/1/cap", {"day_max": "1", "month_max": ""})
    capped = [await _call(site, ada.customer.key) for _ in range(2)]
    await ada.browser.send(f"{PATH}/1/cap", {"day_max": "", "month_max": ""})

    assert capped == [200, 402]
    assert await _call(site, ada.customer.key) == 200


async def test_nobody_reaches_the_key_of_another_account(site: Gateway, ada: Holder, bob: Holder) -> None:
    before = await _keys(site)
    forms = {"reveal": {}, "revoke": {}, "rotate": {"overlap": "0"}, "cap": {"day_max": "1"}}

    statuses = {
        (key, name): (await bob.browser.send(f"{PATH}/{key}/{name}", form)).status
        for key in ("1", "99", "0", "-1", "x", "1" * 30, "%C2%B2")
        for name, form in forms.items()
    }

    assert set(statuses.values()) == {404}
    assert await _keys(site) == before


async def test_the_key_of_a_browser_is_not_listed(site: Gateway, ada: Holder) -> None:
    await site.pool.execute("UPDATE keys SET session = $1", ada.browser.session)

    assert "No key yet" in (await ada.browser.page(PATH)).text
    assert (await ada.browser.send(f"{PATH}/1/reveal")).status == 404


async def test_a_key_that_was_not_sealed_cannot_be_shown_and_the_page_says_so(site: Gateway, ada: Holder) -> None:
    await site.pool.execute("UPDATE keys SET sealed = NULL")

    assert "Reveal" not in (await ada.browser.page(PATH)).text
    answer = await ada.browser.send(f"{PATH}/1/reveal")
    assert answer.status == 422
    assert "cannot be shown again" in answer.text


async def test_a_suspended_account_makes_no_keys(site: Gateway, ada: Holder) -> None:
    await site.pool.execute("UPDATE accounts SET suspended_at = now()")

    statuses = [
        (await ada.browser.send(path, form)).status
        for path, form in ((PATH, FORM), (f"{PATH}/1/rotate", {"overlap": "0"}))
    ]

    assert statuses == [403, 403]
    assert len(await _keys(site)) == 1
    assert "Your account is suspended" in (await ada.browser.page(PATH)).text


async def test_hostile_names_are_text(ada: Holder) -> None:
    name = "<script>alert(1)</script>{{7*7}}'\"&"
    await ada.browser.send(PATH, FORM | {"name": name})

    page = (await ada.browser.follow(PATH)).text

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{7*7}}" in page


async def test_a_notice_of_the_longest_name_signs_nobody_out(ada: Holder) -> None:
    """A cookie that grew too large was one of a stranger."""
    await ada.browser.send(PATH, FORM | {"name": "\U0001f308" * 100})

    page = await ada.browser.page(PATH)

    assert page.status == 200
    assert "\U0001f308” is made" in page.text


async def test_what_was_done_to_keys_stands_in_the_account(ada: Holder) -> None:
    await ada.browser.send(PATH, FORM)
    await ada.browser.send(f"{PATH}/2/rotate", {"overlap": "0"})
    await ada.browser.send(f"{PATH}/3/revoke")

    page = (await ada.browser.follow("/dashboard/account")).text

    assert all(action in page for action in ("key made", "key rotated", "key revoked"))
