"""The overview, what happened to an account, and its end."""

import asyncio

from tests.browsing import browser, person
from tests.gateway import Gateway
from tests.peers import answers, streams
from tests.peers.upstream import Upstream
from tests.plugins.dashboard.conftest import Holder


async def test_the_overview_tells_what_is_available_held_and_spent(site: Gateway, ada: Holder) -> None:
    async with site.session.post("/api/removebg", data=b"x", headers=ada.customer.fields) as answer:
        await answer.read()
    await ada.customer.settled()

    page = (await ada.browser.page("/dashboard")).text

    assert "<dd>99 <small>credits</small></dd>" in page
    assert "<dd>0 <small>for calls" in page
    assert "<dd>1 <small>in the last 30 days</small></dd>" in page
    assert "<code>/api/removebg</code>" in page


async def test_an_account_is_deleted_with_all_that_says_whose_it_was_and_the_books_add_up(
    site: Gateway, ada: Holder
) -> None:
    async with site.session.post("/api/removebg", data=b"x", headers=ada.customer.fields) as answer:
        await answer.read()
    await ada.customer.settled()

    refused = await ada.browser.send("/dashboard/account/delete", {"confirm": "no"})
    gone = await ada.browser.send("/dashboard/account/delete", {"confirm": "Delete"})

    assert (refused.status, gone.status, gone.location) == (422, 303, "/")
    assert await site.pool.fetchval("SELECT count(*) FROM users") == 0
    assert await site.pool.fetchval("SELECT count(*) FROM sessions") == 0
    assert await site.pool.fetchval("SELECT sealed FROM keys") is None
    assert await ada.customer.balances() == {"available": "0", "held": "0", "spent": "1", "granted": "1"}
    assert await site.violations() == {}
    assert await site.soon(ada.customer.key, 401) == 401
    assert (await ada.browser.page("/dashboard")).status == 303


async def test_no_key_outlives_the_account(site: Gateway, ada: Holder) -> None:
    """Forms that make keys are on their way while the account is deleted."""
    forms = [
        ("/dashboard/keys", {"name": "k", "life": ""}),
        ("/dashboard/keys/1/rotate", {"overlap": "24"}),
        ("/dashboard/account/delete", {"confirm": "delete"}),
        ("/dashboard/keys", {"name": "k", "life": ""}),
        ("/dashboard/keys/1/rotate", {"overlap": "24"}),
    ]

    statuses = [answer.status for answer in await asyncio.gather(*(ada.browser.send(*form) for form in forms))]

    assert max(statuses) < 500
    assert await site.pool.fetchval("SELECT count(*) FROM users") == 0
    assert await site.pool.fetchval("SELECT count(*) FROM keys WHERE revoked_at IS NULL") == 0
    assert await site.pool.fetch("SELECT DISTINCT name FROM keys") == [("deleted",)]
    assert await site.pool.fetchval("SELECT count(*) FROM audit WHERE action = 'account deleted'") == 1


async def test_an_account_is_not_deleted_while_calls_hold_its_credit(
    site: Gateway, ada: Holder, upstream: Upstream
) -> None:
    """What is refunded later would belong to nobody."""
    going_on = asyncio.Event()
    upstream.plan("*", streams.gated(going_on, answers.answer(200, b"x")))
    call = asyncio.create_task(site.session.post("/api/removebg", data=b"x", headers=ada.customer.fields))
    await upstream.request()

    early = await ada.browser.send("/dashboard/account/delete", {"confirm": "delete"})
    going_on.set()
    async with await call as answer:
        await answer.read()
    await ada.customer.settled()
    late = await ada.browser.send("/dashboard/account/delete", {"confirm": "delete"})

    assert early.status == 422
    assert "still under way" in early.text
    assert late.status == 303


async def test_the_last_admin_stays(site: Gateway, ada: Holder) -> None:
    await site.pool.execute("UPDATE users SET role = 'admin'")

    last = await ada.browser.send("/dashboard/account/delete", {"confirm": "delete"})
    await person(site, name="eve", role="admin")
    one_of_two = await ada.browser.send("/dashboard/account/delete", {"confirm": "delete"})

    assert last.status == 409
    assert "Make somebody else admin first" in last.text
    assert one_of_two.status == 303


async def test_two_admins_who_delete_their_accounts_at_once_leave_one(site: Gateway, ada: Holder, bob: Holder) -> None:
    await site.pool.execute("UPDATE users SET role = 'admin'")

    answers = await asyncio.gather(
        *(holder.browser.send("/dashboard/account/delete", {"confirm": "delete"}) for holder in (ada, bob))
    )

    assert sorted(answer.status for answer in answers) == [303, 409]
    assert await site.pool.fetchval("SELECT count(*) FROM users WHERE role = 'admin'") == 1


async def test_who_is_suspended_cannot_get_away_by_deleting_the_account(site: Gateway, ada: Holder) -> None:
    await site.pool.execute("UPDATE accounts SET suspended_at = now()")

    answer = await ada.browser.send("/dashboard/account/delete", {"confirm": "delete"})

    assert answer.status == 403
    assert await site.pool.fetchval("SELECT count(*) FROM users") == 1


async def test_an_account_shows_who_holds_it_and_where_it_is_signed_in(site: Gateway) -> None:
    user = await person(site, name="Grace", email="grace@example.com")
    async with browser(site, user) as grace:
        page = (await grace.page("/dashboard/account")).text

    assert all(text in page for text in ("Grace", "grace@example.com", "Firefox on Linux", "this one", "127.0.0.1"))
