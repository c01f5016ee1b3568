"""Who gets in, and into which account: known, linked, matched by a verified e-mail, or new."""

import asyncio
import html
import re
from pathlib import Path

import aiohttp
import pytest

from tests.browsing import Browser
from tests.gateway import Gateway, loaded, serving
from tests.login.conftest import BONUS, allow, login_table, site_configuration
from tests.login.people import everyone, sessions, signed_in, visiting
from tests.peers.upstream import Upstream
from tests.providers.provider import Provider
from tests.providers.visitor import authorise


async def test_a_newcomer_gets_an_account_with_the_bonus_and_a_first_key(
    site: Gateway, provider: Provider, visitor: aiohttp.ClientSession
) -> None:
    await provider.person(7, name="Ada Lovelace")

    answer = await signed_in(visitor, site, provider, 7)

    assert (answer.status, answer.url.path) == (200, "/dashboard")
    assert "Ada Lovelace" in await answer.text()
    assert await everyone(site) == [
        {
            "id": 1,
            "name": "Ada Lovelace",
            "email": "person7@example.com",
            "role": "user",
            "granted": int(BONUS),
            "linked": [provider.kind],
        }
    ]
    assert await site.pool.fetchval("SELECT count(*) FROM keys WHERE revoked_at IS NULL") == 1
    assert await site.violations() == {}


async def test_who_is_known_gets_into_the_same_account_and_nothing_is_given_twice(
    site: Gateway, provider: Provider, visitor: aiohttp.ClientSession
) -> None:
    await provider.person()
    await signed_in(visitor, site, provider)
    # An account that became younger is odd, but it is known; a new name and address change nothing here.
    await provider.person(1, created_at=..., login="renamed", username="renamed", email="other@example.com", emails=[])

    async with visiting() as elsewhere:
        answer = await signed_in(elsewhere, site, provider)

    assert answer.url.path == "/dashboard"
    assert [user["granted"] for user in await everyone(site)] == [int(BONUS)]
    assert await site.pool.fetchval("SELECT login FROM identities") == "renamed"
    assert await sessions(site) == 2


async def test_a_verified_email_of_an_account_leads_into_it_and_its_holder_is_told(
    site: Gateway, github: Provider, gitlab: Provider, visitor: aiohttp.ClientSession
) -> None:
    await github.person(1)
    await gitlab.person(1, username="ada-at-gitlab", email="PERSON1@example.COM")
    await signed_in(visitor, site, github)

    async with visiting() as elsewhere:
        answer = await signed_in(elsewhere, site, gitlab)
        told_there = await answer.text()
    told_here = await (await visitor.get(f"{site.url}/dashboard")).text()

    assert [user["linked"] for user in await everyone(site)] == [["github", "gitlab"]]
    assert "GitLab is linked to it now" in told_there
    assert "GitLab account “ada-at-gitlab” was linked" in told_here
    assert "verified e-mail address" in told_here


async def test_what_was_linked_by_email_is_told_until_its_holder_says_that_it_is_theirs(
    site: Gateway, github: Provider, gitlab: Provider, visitor: aiohttp.ClientSession
) -> None:
    await github.person(1)
    await gitlab.person(1)
    await signed_in(visitor, site, github)
    async with visiting() as elsewhere:
        await signed_in(elsewhere, site, gitlab)
    here = Browser(site, visitor, 1, None)
    before = (await here.page(f"{site.url}/dashboard")).text

    await here.send(f"{site.url}/dashboard/account/confirm")

    assert "was linked on" in before
    assert "was linked on" not in (await here.page(f"{site.url}/dashboard")).text


@pytest.mark.parametrize(
    ("emails", "email"),
    [
        ([{"email": "a@example.com", "primary": True, "verified": True}], "a@example.com"),
        ([{"email": "a@example.com", "primary": True, "verified": False}], None),
        ([{"email": "a@example.com", "primary": False, "verified": True}], None),
        (
            [
                {"email": "second@example.com", "primary": False, "verified": True},
                {"email": "first@example.com", "primary": True, "verified": True},
            ],
            "first@example.com",
        ),
        ([{"email": None, "primary": True, "verified": True}], None),
        ([{"email": "a@example.com", "primary": "yes", "verified": "no"}], None),
        ([], None),
        ({"message": "not a list"}, None),
    ],
)
async def test_githubs_email_counts_when_it_is_primary_and_verified(
    site: Gateway, github: Provider, visitor: aiohttp.ClientSession, emails: object, email: str | None
) -> None:
    await github.person(1, email="claimed@example.com", emails=emails)

    await signed_in(visitor, site, github)

    assert [user["email"] for user in await everyone(site)] == [email]


@pytest.mark.parametrize(
    ("confirmed_at", "address", "email"),
    [
        ("2015-01-02T03:04:05.678Z", "a@example.com", "a@example.com"),
        (None, "a@example.com", None),
        (..., "a@example.com", None),
        ("yes", "a@example.com", None),
        ("2015-01-02T03:04:05Z", None, None),
        ("2015-01-02T03:04:05Z", "", None),
    ],
)
async def test_gitlabs_email_counts_once_it_says_when_it_was_confirmed(
    site: Gateway,
    gitlab: Provider,
    visitor: aiohttp.ClientSession,
    confirmed_at: object,
    address: str | None,
    email: str | None,
) -> None:
    await gitlab.person(1, confirmed_at=confirmed_at, email=address)

    await signed_in(visitor, site, gitlab)

    assert [user["email"] for user in await everyone(site)] == [email]


async def test_an_email_that_is_not_verified_leads_into_no_account(
    site: Gateway, github: Provider, gitlab: Provider, visitor: aiohttp.ClientSession
) -> None:
    await github.person(1)
    await gitlab.person(2, email="person1@example.com", confirmed_at=None)
    await signed_in(visitor, site, github)

    async with visiting() as thief:
        await signed_in(thief, site, gitlab, 2)

    assert [user["linked"] for user in await everyone(site)] == [["github"], ["gitlab"]]


async def test_the_word_of_a_host_that_is_not_trusted_counts_for_nothing(
    database: str,
    tmp_path: Path,
    upstream: Upstream,
    github: Provider,
    gitlab: Provider,
    provider: Provider,
    visitor: aiohttp.ClientSession,
) -> None:
    await provider.person()
    config = loaded(tmp_path, site_configuration(upstream, login_table(github, gitlab, trust=False)))

    async with serving(config, database, is_public=True) as gateway:
        await allow(gateway, github, gitlab)
        await signed_in(visitor, gateway, provider)
        users = await everyone(gateway)

    assert [user["email"] for user in users] == [None]


async def test_a_second_identity_of_one_provider_never_takes_the_place_of_the_first(
    site: Gateway, github: Provider, visitor: aiohttp.ClientSession
) -> None:
    await github.person(1, login="first")
    await github.person(2, emails=[{"email": "person1@example.com", "primary": True, "verified": True}])
    await signed_in(visitor, site, github, 1)

    async with visiting() as elsewhere:
        answer = await signed_in(elsewhere, site, github, 2)

    assert answer.status == 409
    assert "linked to “first”" in await answer.text()
    assert [user["linked"] for user in await everyone(site)] == [["github"]]
    assert await sessions(site) == 1


async def test_somebody_who_is_signed_in_links_a_second_provider_by_a_form(
    site: Gateway, github: Provider, gitlab: Provider, visitor: aiohttp.ClientSession
) -> None:
    await github.person(1)
    await gitlab.person(2, email="other@example.com")
    await signed_in(visitor, site, github, 1)

    answer = await _linked(site, visitor, gitlab, 2)

    assert answer.url.path == "/dashboard/account"
    assert "GitLab is linked to your account" in await answer.text()
    assert [user["linked"] for user in await everyone(site)] == [["github", "gitlab"]]
    assert await sessions(site) == 1


async def test_an_identity_of_somebody_else_is_not_linked(
    site: Gateway, github: Provider, gitlab: Provider, visitor: aiohttp.ClientSession
) -> None:
    await github.person(1)
    await gitlab.person(2)
    await signed_in(visitor, site, github, 1)
    async with visiting() as other:
        await signed_in(other, site, gitlab, 2)

    answer = await _linked(site, visitor, gitlab, 2)

    assert answer.status == 409
    assert "linked to another account" in await answer.text()
    assert [user["linked"] for user in await everyone(site)] == [["github"], ["gitlab"]]


async def test_a_link_is_for_the_session_that_asked_for_it(
    site: Gateway, github: Provider, gitlab: Provider, visitor: aiohttp.ClientSession
) -> None:
    """Whoever was signed out in between, or is somebody else by now, gets nothing linked."""
    await github.person(1)
    await github.person(3)
    await gitlab.person(2)
    await signed_in(visitor, site, github, 1)
    callback = await authorise(visitor, await _link_url(site, visitor, gitlab), gitlab, 2)
    browser = Browser(site, visitor, 1, None)
    await browser.send(f"{site.url}/auth/logout")
    pending = {cookie.key: cookie.value for cookie in visitor.cookie_jar if cookie.key == "nijika-sign-in"}
    await signed_in(visitor, site, github, 3)
    visitor.cookie_jar.update_cookies(pending)

    answer = await visitor.get(callback)

    assert answer.status == 400
    assert [user["linked"] for user in await everyone(site)] == [["github"], ["github"]]


async def test_unlinking_is_possible_while_one_identity_remains(
    site: Gateway, github: Provider, gitlab: Provider, visitor: aiohttp.ClientSession
) -> None:
    await github.person(1)
    await gitlab.person(1)
    await signed_in(visitor, site, github)
    await _linked(site, visitor, gitlab, 1)
    browser = Browser(site, visitor, 1, None)

    first = await browser.send(f"{site.url}/dashboard/account/unlink", {"issuer": f"{gitlab.url}/api/v4"})
    last = await browser.send(f"{site.url}/dashboard/account/unlink", {"issuer": github.url})

    assert (first.status, last.status) == (303, 409)
    assert "could not sign in any more" in last.text
    assert [user["linked"] for user in await everyone(site)] == [["github"]]
    assert await site.pool.fetchval("SELECT count(*) FROM audit WHERE action = 'identity unlinked'") == 1


async def test_two_unlinks_at_once_leave_one_identity(
    site: Gateway, github: Provider, gitlab: Provider, visitor: aiohttp.ClientSession
) -> None:
    await github.person(1)
    await gitlab.person(1)
    await signed_in(visitor, site, github)
    await _linked(site, visitor, gitlab, 1)
    browser = Browser(site, visitor, 1, None)

    answers = await asyncio.gather(
        *(
            browser.send(f"{site.url}/dashboard/account/unlink", {"issuer": issuer})
            for issuer in (github.url, f"{gitlab.url}/api/v4")
        )
    )

    # Who is signed in by the one that goes first is out before the other one is asked for.
    assert sorted(answer.status for answer in answers) in ([303, 409], [303, 401], [303, 403])
    assert len((await everyone(site))[0]["linked"]) == 1


async def test_the_bonus_is_given_once_to_an_identity_also_after_its_account_was_deleted(
    site: Gateway, provider: Provider, visitor: aiohttp.ClientSession
) -> None:
    await provider.person()
    await signed_in(visitor, site, provider)
    browser = Browser(site, visitor, 1, None)

    gone = await browser.send(f"{site.url}/dashboard/account/delete", {"confirm": "delete"})
    await signed_in(visitor, site, provider)

    assert gone.status == 303
    assert [(user["id"], user["granted"]) for user in await everyone(site)] == [(2, 0)]
    assert await site.pool.fetchval("SELECT sum(granted) FROM accounts") == 0
    assert await site.violations() == {}


async def test_twins_who_sign_in_at_once_are_one_person(site: Gateway, provider: Provider) -> None:
    await provider.person()

    async def arrive() -> int:
        async with visiting() as twin:
            return (await signed_in(twin, site, provider)).status

    statuses = await asyncio.gather(*(arrive() for _ in range(8)))

    assert statuses == [200] * 8
    assert [user["granted"] for user in await everyone(site)] == [int(BONUS)]
    assert await site.violations() == {}


async def test_the_first_of_many_becomes_admin_and_only_the_first(
    database: str, tmp_path: Path, upstream: Upstream, github: Provider, gitlab: Provider
) -> None:
    config = loaded(tmp_path, site_configuration(upstream, login_table(github, gitlab, first_user_is_admin=True)))
    people = [await github.person(number) for number in range(1, 9)]

    async def arrive(gateway: Gateway, person: int) -> None:
        async with visiting() as visitor:
            assert (await signed_in(visitor, gateway, github, person)).status == 200

    async with serving(config, database, is_public=True) as gateway:
        await allow(gateway, github, gitlab)
        await asyncio.gather(*(arrive(gateway, person) for person in people))
        roles = [user["role"] for user in await everyone(gateway)]

    assert sorted(roles) == ["admin"] + ["user"] * 7


async def test_nobody_becomes_admin_where_the_operator_did_not_say_so(
    site: Gateway, github: Provider, visitor: aiohttp.ClientSession
) -> None:
    await github.person()

    await signed_in(visitor, site, github)

    assert [user["role"] for user in await everyone(site)] == ["user"]


async def test_what_goes_to_a_provider_is_what_the_standards_ask_for_and_its_token_is_dropped(
    site: Gateway, provider: Provider, visitor: aiohttp.ClientSession
) -> None:
    await provider.person()

    await signed_in(visitor, site, provider)

    seen = await provider.seen()
    asked, sent = seen["authorization"][0], seen["token"][0]["form"]
    assert asked["redirect_uri"] == sent["redirect_uri"] == f"{site.url}/auth/{provider.kind}/callback"
    assert asked["code_challenge_method"] == "S256"
    assert asked["scope"] == {"github": "user:email", "gitlab": "read_user"}[provider.kind]
    assert len(asked["state"]) >= 32
    assert len(sent["code_verifier"]) >= 43
    token = (seen["api"][0]["authorization"] or "").removeprefix("Bearer ")
    for table in ("users", "identities", "sessions", "audit"):
        assert token not in str(await site.pool.fetch(f"SELECT * FROM {table}"))


@pytest.mark.parametrize("part", ["token", "user"])
@pytest.mark.parametrize("fault", ["500", "404", "drop", "empty", "garbage", "html", "huge", "list", "redirect"])
async def test_a_provider_that_fails_is_told_of_on_a_page_and_nobody_gets_in(
    site: Gateway, provider: Provider, visitor: aiohttp.ClientSession, part: str, fault: str
) -> None:
    await provider.person()
    await provider.faults(**{part: fault})

    answer = await signed_in(visitor, site, provider)

    assert answer.status == 502
    assert "provider" in await answer.text()
    assert answer.content_type == "text/html"
    assert (await everyone(site), await sessions(site)) == ([], 0)
    assert (await provider.seen())["elsewhere"] == []


@pytest.mark.parametrize("faults", [{"token": "no_token"}, {"user": "no_id"}])
async def test_half_an_answer_of_a_provider_lets_nobody_in(
    site: Gateway, provider: Provider, visitor: aiohttp.ClientSession, faults: dict[str, str]
) -> None:
    await provider.person()
    await provider.faults(**faults)

    answer = await signed_in(visitor, site, provider)

    assert answer.status == 502
    assert await everyone(site) == []


async def test_who_says_no_at_the_provider_comes_back_to_a_page_that_says_so(
    site: Gateway, provider: Provider, visitor: aiohttp.ClientSession
) -> None:
    await provider.person()

    answer = await signed_in(visitor, site, provider, None)

    assert answer.status == 400
    assert "access was not granted" in await answer.text()
    assert await everyone(site) == []


async def test_a_provider_that_is_not_configured_does_not_appear(
    database: str, tmp_path: Path, upstream: Upstream
) -> None:
    config = loaded(tmp_path, site_configuration(upstream, ""))

    async with serving(config, database, is_public=True) as gateway:
        page = await (await gateway.session.get("/login")).text()
        statuses = [
            (await gateway.session.get(f"/auth/{name}{end}")).status
            for name in ("github", "gitlab")
            for end in ("", "/callback")
        ]

    assert "has not set up sign-in yet" in page
    assert "Continue with" not in page
    assert statuses == [404] * 4


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "{{7*7}}", "a\r\nSet-Cookie: x=1", "  ", "\u202eevil", None]
)
async def test_hostile_names_are_one_line_of_text(
    site: Gateway, provider: Provider, visitor: aiohttp.ClientSession, name: str | None
) -> None:
    await provider.person(1, name=name)

    answer = await signed_in(visitor, site, provider)

    stored = (await everyone(site))[0]["name"]
    assert stored.isprintable()
    assert stored.strip()
    page = await answer.text()
    assert "<script>alert" not in page
    assert ">49<" not in page
    assert "x=1" not in str(answer.headers)


async def _link_url(gateway: Gateway, visitor: aiohttp.ClientSession, provider: Provider) -> str:
    """Press "Link"; where that leads."""
    answer = await Browser(gateway, visitor, None, None).send(f"{gateway.url}/auth/{provider.kind}/link")
    assert answer.status == 200, answer.text
    return html.unescape(re.findall(r'<a href="(http[^"]*)">go on', answer.text)[0])


async def _linked(
    gateway: Gateway, visitor: aiohttp.ClientSession, provider: Provider, person: int
) -> aiohttp.ClientResponse:
    callback = await authorise(visitor, await _link_url(gateway, visitor, provider), provider, person)
    answer = await visitor.get(callback)
    await answer.read()
    return answer
