"""One user's page tells all that helps, and no secret."""

from nijika import request_id
from nijika.store import caps, identities
from tests.browsing import user_of
from tests.peers import answers
from tests.peers.upstream import Upstream
from tests.plugins.staff.conftest import Office, words


async def test_a_page_tells_balances_calls_and_what_became_of_them(office: Office) -> None:
    staff, customer = await office.somebody("moderator"), await office.gateway.customer("20")
    await office.calls(customer, 2)

    page = await staff.page(f"/staff/users/{await user_of(customer)}")

    text = words(page)
    assert "Available 18 Held 0 Spent 2 Granted 20" in text
    assert "Paid calls 2 Refunded calls 0 Spent 2" in text
    assert text.count("/api/removebg") == 2
    assert '<rect class="captured"' in page.text


async def test_keys_are_told_apart_by_their_ends_and_never_shown(office: Office) -> None:
    staff, customer = await office.somebody("admin"), await office.gateway.customer()
    async with office.gateway.pool.acquire() as connection, connection.transaction():
        key = await connection.fetchval("SELECT id FROM keys WHERE account = $1", customer.account)
        await caps.put(connection, key, day_max=5_000_000, month_max=None)

    page = await staff.page(f"/staff/users/{await user_of(customer)}")

    assert f"nj_live_…{customer.key[-4:]} k active all 5 no cap" in words(page)
    assert customer.key not in page.text
    assert customer.key[8:-6] not in page.text


async def test_identities_sessions_and_actions_stand_on_the_page(office: Office) -> None:
    staff, user = await office.somebody("admin"), await office.person()
    await office.browser(user)
    async with office.gateway.pool.acquire() as connection:
        await identities.add(
            connection,
            user=user,
            provider="gitlab",
            issuer="https://gitlab.example",
            subject="77",
            login="</td><b>",
            linked_by="e-mail",
        )
    await staff.send(f"/staff/users/{user}/credits", {"amount": "5", "reason": "<i>", "once": str(request_id.make())})
    await staff.send(f"/staff/users/{user}/suspend", {"reason": "spam"})

    text = words(await staff.page(f"/staff/users/{user}"))

    assert "Signed in in 1 browser" in text
    assert "gitlab https://gitlab.example </td><b> 77" in text
    assert "by e-mail not confirmed yet" in text
    assert "suspended suspended: no → yes spam" in text
    assert "credits given available: 0 → 5 <i>" in text


async def test_a_user_without_anything_has_a_page(office: Office) -> None:
    staff, user = await office.somebody("admin"), await office.person()

    text = words(await staff.page(f"/staff/users/{user}"))

    for sentence in (
        "signs in by no provider",
        "has no keys",
        "No calls in the last 30 days",
        "Nothing was given, taken or used yet",
        "Nothing was done to this account",
    ):
        assert sentence in text


async def test_a_refund_tells_its_reason(office: Office, upstream: Upstream) -> None:
    staff, customer = await office.somebody("moderator"), await office.gateway.customer()
    upstream.plan("/v1/cutout", answers.failed())
    statuses = await office.calls(customer, 1)

    text = words(await staff.page(f"/staff/users/{await user_of(customer)}"))

    assert statuses == [502]
    assert "refunded 0 1 given back The worker failed." in text
