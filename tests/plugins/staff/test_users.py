"""All users can be found, whatever they are called and however many they are."""

import re
from urllib.parse import quote

import pytest

from nijika.pages.paging import ROWS
from nijika.pages.words import visible
from nijika.store import identities
from tests.browsing import Browser, Page
from tests.plugins.staff.conftest import Office, words

HOSTILE = {
    "<script>alert(1)</script>": "&lt;script&gt;alert(1)&lt;/script&gt;",
    '"><img src=x>': "&#34;&gt;&lt;img src=x&gt;",
    "{{7*7}}": "{{7*7}}",
    "a\r\nSet-Cookie: x=1": "a\ufffd\ufffdSet-Cookie: x=1",
    "x" * 100: "x" * 100,
    "\u202egnirts": "\ufffdgnirts",
    "\u200b": "\ufffd",
    "\u3164": "(no visible name)",
    "日本語": "日本語",
}


def listed(page: Page) -> list[int]:
    return [int(number) for number in re.findall(r'<a href="/staff/users/([0-9]+)">', page.text)]


async def found(staff: Browser, text: str) -> list[int]:
    page = await staff.page(f"/staff?search={quote(text)}")
    assert page.status == 200
    return listed(page)


async def crowd(office: Office, number: int) -> None:
    """So many more users."""
    await office.gateway.pool.execute(
        """WITH made AS (INSERT INTO accounts (available) SELECT 0 FROM generate_series(1, $1) RETURNING id)
           INSERT INTO users (account, name, email) SELECT id, 'person ' || id, id || '@example.com' FROM made""",
        number,
    )
    await office.gateway.pool.execute("ANALYZE users, accounts, identities")


async def test_a_user_is_found_by_name_e_mail_login_provider_number_and_number(office: Office) -> None:
    staff = await office.somebody("moderator")
    ada = await office.person(name="Ada Lovelace", email="ada@example.org")
    await office.person(name="somebody else", email="else@example.org")
    async with office.gateway.pool.acquire() as connection:
        await identities.add(
            connection,
            user=ada,
            provider="github",
            issuer="https://github.com",
            subject="58231",
            login="countess",
            linked_by="sign-up",
        )

    for text in ("Ada Lovelace", "lovelace", "ADA@example.org", "Countess", "58231", f" {ada} "):
        assert await found(staff, text) == [ada], text
    assert await found(staff, "5823") == []


async def test_a_search_means_its_letters_and_nothing_else(office: Office) -> None:
    staff = await office.somebody("moderator")
    percent, quoted = await office.person(name="100% wool"), await office.person(name="O'Brien \\ _")

    assert await found(staff, "%") == [percent]
    assert await found(staff, "_") == [quoted]
    assert await found(staff, "\\") == [quoted]
    assert await found(staff, "' OR '1'='1") == []


@pytest.mark.parametrize(
    "query",
    [
        "search=%00",
        "search=a%00b",
        "search=%ff%fe",
        "search=%ed%a0%80",
        f"search={'9' * 400}",
        "search=%0d%0aSet-Cookie:%20x=1",
        "before=x",
        "before=-1",
        "before=0",
        "before=9223372036854775808",
        "before=%00",
        "before=1e3",
        "before=\u0663",
        "search=a&search=b&before=1&before=2",
    ],
)
async def test_whatever_the_address_says_there_is_a_page(office: Office, query: str) -> None:
    staff = await office.somebody("moderator")

    page = await staff.page(f"/staff?{quote(query, safe='=&%')}")

    assert page.status == 200
    assert "Set-Cookie: x" not in str(page.headers)


@pytest.mark.parametrize("name", HOSTILE)
async def test_names_are_shown_and_never_obeyed(office: Office, name: str) -> None:
    staff, user = await office.somebody("moderator"), await office.person(name=name)

    pages = [await staff.page("/staff"), await staff.page(f"/staff/users/{user}")]

    for page in pages:
        assert page.status == 200
        assert f"<bdi>{HOSTILE[name]}</bdi>" in page.text
        assert visible(name) == name or name not in page.text


async def test_ten_thousand_users_are_paged_and_searched(office: Office) -> None:
    staff = await office.somebody("moderator")
    await crowd(office, 10_000)

    for path in (
        "/staff",
        "/staff?before=70",
        "/staff?search=person",
        "/staff?search=nobodyatall",
        "/staff?search=9999@",
    ):
        page = await staff.page(path)

        assert page.status == 200
        assert page.text.count('href="/staff/users/') <= ROWS, path


async def test_each_user_stands_on_one_page_also_while_new_ones_come(office: Office) -> None:
    staff = await office.somebody("moderator")
    await crowd(office, 2 * ROWS + 20)
    everyone = [row["id"] for row in await office.gateway.pool.fetch("SELECT id FROM users ORDER BY id DESC")]

    seen, path = [], "/staff"
    while path:
        page = await staff.page(path)
        seen += listed(page)
        link = re.search(r'<a href="([^"]+)" rel="next"', page.text)
        path = link[1].replace("&amp;", "&") if link else ""
        await office.person()

    assert seen == everyone


async def test_a_search_goes_on_over_its_pages(office: Office) -> None:
    staff = await office.somebody("moderator")
    await crowd(office, ROWS + 5)

    page = await staff.page("/staff?search=person")
    link = re.search(r'<a href="([^"]+)" rel="next"', page.text)
    assert link is not None
    rest = await staff.page(link[1].replace("&amp;", "&"))

    assert (len(listed(page)), len(listed(rest))) == (ROWS, 5)
    assert 'value="person"' in rest.text


async def test_nothing_found_is_said(office: Office) -> None:
    staff = await office.somebody("moderator")

    assert "Nobody is found by “<b>”" in words(await staff.page("/staff?search=%3Cb%3E"))
    assert "There are no older users" in words(await staff.page("/staff?before=1"))
