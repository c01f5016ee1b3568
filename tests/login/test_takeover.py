"""Ways into somebody else's account, or back into one's own after the door was closed; each was open once."""

import asyncio
from typing import Any

import aiohttp
import pytest
from yarl import URL

from nijika.login.github import GitHub
from nijika.login.provider import Addresses
from tests.browsing import PAGE, Browser
from tests.gateway import Gateway
from tests.login.people import everyone, sessions, signed_in, visiting
from tests.providers.provider import Provider
from tests.providers.visitor import authorise


def _mail(address: object) -> dict[str, Any]:
    return {"emails": [{"email": address, "primary": True, "verified": True}]}


async def _two(site: Gateway, visitor: aiohttp.ClientSession, github: Provider, gitlab: Provider) -> Browser:
    """One person with both, signed in by GitHub; the address is GitHub's word and GitLab's."""
    await github.person(1)
    await gitlab.person(1)
    await signed_in(visitor, site, github)
    async with visiting() as elsewhere:
        await signed_in(elsewhere, site, gitlab)
    return Browser(site, visitor, 1, None)


@pytest.mark.parametrize(
    "address", ["mi\u212ae@example.com", "m\u0130ke@example.com", "m\u0131ke@example.com", "mike@example.com "]
)
async def test_an_address_that_only_looks_alike_leads_into_no_account(
    site: Gateway, github: Provider, gitlab: Provider, visitor: aiohttp.ClientSession, address: str
) -> None:
    await github.person(1, **_mail("mike@example.com"))
    await gitlab.person(2, email=address)
    await signed_in(visitor, site, github)

    async with visiting() as thief:
        await signed_in(thief, site, gitlab, 2)

    assert [(user["linked"], user["email"]) for user in await everyone(site)] == [
        (["github"], "mike@example.com"),
        (["gitlab"], None),
    ]


@pytest.mark.parametrize(
    "address", ["a\x00@example.com", "a@example.com\nb", "a b@example.com", "<b>@x@y", "nobody", ["a@b"], 7]
)
async def test_what_is_no_address_is_none(
    site: Gateway, provider: Provider, visitor: aiohttp.ClientSession, address: object
) -> None:
    await provider.person(1, email=address, **(_mail(address) if provider.kind == "github" else {}))

    answer = await signed_in(visitor, site, provider)

    assert answer.status == 200
    assert [user["email"] for user in await everyone(site)] == [None]


async def test_an_identity_that_was_unlinked_is_out_and_does_not_come_back_by_its_email(
    site: Gateway, github: Provider, gitlab: Provider, visitor: aiohttp.ClientSession
) -> None:
    here = await _two(site, visitor, github, gitlab)
    async with visiting() as elsewhere:
        await signed_in(elsewhere, site, gitlab)
        await here.send(f"{site.url}/dashboard/account/unlink", {"issuer": f"{gitlab.url}/api/v4"})
        async with elsewhere.get(f"{site.url}/dashboard", headers=PAGE, allow_redirects=False) as answer:
            inside = answer.status

        again = await signed_in(elsewhere, site, gitlab)

    assert inside == 303
    assert again.status == 409
    assert "has unlinked this identity" in await again.text()
    assert [user["linked"] for user in await everyone(site)] == [["github"]]


async def test_who_unlinks_the_identity_by_which_they_came_is_signed_out(
    site: Gateway, github: Provider, gitlab: Provider, visitor: aiohttp.ClientSession
) -> None:
    here = await _two(site, visitor, github, gitlab)

    answer = await here.send(f"{site.url}/dashboard/account/unlink", {"issuer": github.url})

    assert (answer.status, answer.location, here.cookie) == (303, "/", "")
    # The address was the word of the one that is gone; the other one gives its own at its next sign-in.
    assert [user["email"] for user in await everyone(site)] == [None]
    await signed_in(visitor, site, gitlab)
    assert [user["email"] for user in await everyone(site)] == ["person1@example.com"]


async def test_a_sign_in_in_the_moment_of_the_unlinking_leaves_no_session(
    site: Gateway, github: Provider, gitlab: Provider, visitor: aiohttp.ClientSession
) -> None:
    here = await _two(site, visitor, github, gitlab)
    issuer = f"{gitlab.url}/api/v4"

    async def arrive() -> None:
        async with visiting() as elsewhere:
            await signed_in(elsewhere, site, gitlab)

    for _ in range(5):
        await asyncio.gather(arrive(), here.send(f"{site.url}/dashboard/account/unlink", {"issuer": issuer}), arrive())
        linked = await site.pool.fetchval("SELECT count(*) FROM identities WHERE provider = 'gitlab'")
        alive = await site.pool.fetchval("SELECT count(*) FROM sessions WHERE provider = 'gitlab'")
        assert linked or not alive


async def test_an_address_that_was_given_up_at_the_provider_leads_nowhere(
    site: Gateway, github: Provider, gitlab: Provider, visitor: aiohttp.ClientSession
) -> None:
    await github.person(1, **_mail("old@corp.example"))
    await signed_in(visitor, site, github)
    await github.person(1, **_mail("new@home.example"))
    await gitlab.person(2, email="old@corp.example")
    visitor.cookie_jar.clear()
    await signed_in(visitor, site, github)

    async with visiting() as successor:
        await signed_in(successor, site, gitlab, 2)

    assert [(user["linked"], user["email"]) for user in await everyone(site)] == [
        (["github"], "new@home.example"),
        (["gitlab"], "old@corp.example"),
    ]


async def test_who_came_in_by_the_email_cannot_say_that_it_is_theirs(
    site: Gateway, github: Provider, gitlab: Provider, visitor: aiohttp.ClientSession
) -> None:
    await github.person(1)
    await gitlab.person(1)
    await signed_in(visitor, site, github)
    async with visiting() as thief:
        page = await (await signed_in(thief, site, gitlab)).text()
        await Browser(site, thief, 1, None).send(f"{site.url}/dashboard/account/confirm")

    owner = await (await visitor.get(f"{site.url}/dashboard")).text()
    assert "It is mine" not in page
    assert "was linked on" in owner
    assert "It is mine" in owner


async def test_who_is_suspended_does_not_begin_anew_by_unlinking(
    site: Gateway, github: Provider, gitlab: Provider, visitor: aiohttp.ClientSession
) -> None:
    here = await _two(site, visitor, github, gitlab)
    await site.pool.execute("UPDATE accounts SET suspended_at = now()")

    unlinked = await here.send(f"{site.url}/dashboard/account/unlink", {"issuer": f"{gitlab.url}/api/v4"})
    linked = await here.send(f"{site.url}/auth/gitlab/link")

    assert (unlinked.status, linked.status) == (403, 403)
    assert [user["linked"] for user in await everyone(site)] == [["github", "gitlab"]]


async def test_a_provider_that_moved_to_another_host_links_beside_the_old_one(
    site: Gateway, github: Provider, visitor: aiohttp.ClientSession
) -> None:
    await github.person(1)
    await signed_in(visitor, site, github)
    await site.pool.execute("UPDATE identities SET issuer = 'https://old.example/api/v3'")

    async with visiting() as elsewhere:
        answer = await signed_in(elsewhere, site, github)

    assert answer.status == 200
    assert [user["linked"] for user in await everyone(site)] == [["github", "github"]]


async def test_an_account_that_is_deleted_while_somebody_signs_in_breaks_nothing(
    site: Gateway, provider: Provider, visitor: aiohttp.ClientSession
) -> None:
    await provider.person()

    async def arrive() -> int:
        async with visiting() as elsewhere:
            return (await signed_in(elsewhere, site, provider)).status

    for _ in range(5):
        visitor.cookie_jar.clear()
        await signed_in(visitor, site, provider)
        here = Browser(site, visitor, 1, None)
        first, second, status = await asyncio.gather(
            here.send(f"{site.url}/dashboard/account/delete", {"confirm": "delete"}),
            here.send(f"{site.url}/dashboard/account/delete", {"confirm": "delete"}),
            arrive(),
        )
        assert status == 200
        assert {first.status, second.status} <= {303, 401}
    assert await site.violations() == {}


async def test_a_browser_may_call_itself_what_it_wants(
    site: Gateway, provider: Provider, visitor: aiohttp.ClientSession
) -> None:
    await provider.person()
    callback = await authorise(visitor, f"{site.url}/auth/{provider.kind}", provider, 1)

    async with visitor.get(
        callback, headers={"User-Agent": b"\xff\xfc\xe4".decode("utf-8", "surrogateescape")}
    ) as answer:
        assert answer.status == 200

    assert await sessions(site) == 1


async def test_a_head_request_uses_no_sign_in_up(
    site: Gateway, provider: Provider, visitor: aiohttp.ClientSession
) -> None:
    await provider.person()
    callback = await authorise(visitor, f"{site.url}/auth/{provider.kind}", provider, 1)

    async with visitor.head(callback) as head:
        assert head.status == 405
    async with visitor.get(callback) as answer:
        assert answer.status == 200

    assert len(await everyone(site)) == 1


@pytest.mark.parametrize("created_at", ["9999-12-15T00:00:00Z", "9999-11-30T00:00:00Z", "0001-01-01T00:00:00Z"])
async def test_dates_at_the_ends_of_time_are_dates(
    site: Gateway, provider: Provider, visitor: aiohttp.ClientSession, created_at: str
) -> None:
    await provider.person(1, created_at=created_at)

    answer = await signed_in(visitor, site, provider)

    assert answer.status == (403 if created_at > "2" else 200)


async def test_a_state_stays_spent_for_as_long_as_its_cookie_could_come_back(
    site: Gateway, provider: Provider, visitor: aiohttp.ClientSession
) -> None:
    await provider.person()
    callback = await authorise(visitor, f"{site.url}/auth/{provider.kind}", provider, 1)
    kept = {cookie.key: cookie.value for cookie in visitor.cookie_jar if cookie.key == "nijika-sign-in"}
    async with visitor.get(callback) as first:
        assert first.status == 200
    await site.pool.execute("UPDATE spent_states SET spent_at = now() - interval '11 minutes'")
    async with visiting() as other:  # whose sign-in forgets old states
        await signed_in(other, site, provider)

    async with visiting() as again:
        again.cookie_jar.update_cookies(kept, URL(site.url))
        async with again.get(callback) as second:
            assert second.status == 400
            assert "used before" in await second.text()


def test_the_word_of_github_com_counts_and_that_of_an_enterprise_if_the_operator_says_so() -> None:
    enterprise = Addresses(
        "https://ghe/login/oauth/authorize", "https://ghe/login/oauth/access_token", "https://ghe/api"
    )

    assert GitHub("id", "secret", GitHub.default)._trusted
    assert not GitHub("id", "secret", enterprise)._trusted
    assert GitHub("id", "secret", enterprise, trust_email=True)._trusted
