"""What staff do to accounts happens exactly once, never below zero, and is written down."""

import asyncio
import json
from uuid import UUID, uuid4

import pytest

from nijika import request_id
from nijika.state import VAULT
from nijika.store import keys
from tests.plugins.staff.conftest import Office, once, words

REASON = {"reason": "because"}


async def key_of(office: Office, user: int) -> str:
    """The text of a new key of a user."""
    async with office.gateway.pool.acquire() as connection:
        account = await connection.fetchval("SELECT account FROM users WHERE id = $1", user)
        return (await keys.make(connection, office.gateway.app[VAULT], account=account, name="k")).text


async def call(office: Office, key: str) -> int:
    async with office.gateway.session.get("/api/account", headers={"X-API-Key": key}) as answer:
        return answer.status


async def test_a_suspended_accounts_keys_are_refused_at_once_and_its_sessions_go_on(office: Office) -> None:
    staff, target = await office.somebody("moderator"), await office.person()
    key, holder = await key_of(office, target), await office.browser(target)

    before = await call(office, key)
    answer = await staff.send(f"/staff/users/{target}/suspend", REASON)
    suspended = await office.gateway.soon(key, 403)
    still_in = (await holder.page("/login")).status
    page = await staff.page(answer.location)
    await staff.send(f"/staff/users/{target}/resume", {"reason": "a mistake"})

    assert answer.location == f"/staff/users/{target}"
    assert "The account is suspended" in words(page)
    assert "suspended since" in words(page)
    assert [before, suspended, await office.gateway.soon(key, 200)] == [200, 403, 200]
    assert still_in == 303
    assert await office.audit() == [
        (staff.user, target, "suspended", '{"suspended": false}', '{"suspended": true}', "because"),
        (staff.user, target, "resumed", '{"suspended": true}', '{"suspended": false}', "a mistake"),
    ]


async def test_what_is_so_already_is_not_written_down_again(office: Office) -> None:
    staff, target = await office.somebody("admin"), await office.person(suspended=True)
    before = await office.state()

    await staff.send(f"/staff/users/{target}/suspend", REASON)
    await staff.send(f"/staff/users/{target}/role", {**REASON, "role": "user"})

    assert await office.state() == before


@pytest.mark.parametrize(
    ("text", "micro"),
    [
        ("5", 5_000_000),
        ("+0.000001", 1),
        ("-2.5", -2_500_000),
        ("\u22122.5", -2_500_000),
        (" 7 ", 7_000_000),
        ("-10", -10_000_000),
    ],
)
async def test_credits_are_given_and_taken_to_the_last_millionth(office: Office, text: str, micro: int) -> None:
    staff, target = await office.somebody("admin"), await office.person(credit="10")
    page = await staff.page(f"/staff/users/{target}")

    answer = await staff.send(f"/staff/users/{target}/credits", {**REASON, "amount": text, "once": once(page)})

    assert answer.status == 303
    assert await office.available(target) == 10_000_000 + micro
    actor, subject, action, old, new, reason = (await office.audit())[-1]
    assert (actor, subject, reason) == (staff.user, target, "because")
    assert action == ("credits given" if micro > 0 else "credits taken")
    assert json.loads(old) == {"available": "10"}
    assert round(float(json.loads(new)["available"]) * 1e6) == 10_000_000 + micro
    assert await office.gateway.violations() == {}


@pytest.mark.parametrize(
    ("form", "wrong", "status", "sentence"),
    [
        ("credits", {"amount": "0"}, 422, "nothing can be neither given nor taken"),
        ("credits", {"amount": "0.0000001"}, 422, "at most six decimals"),
        ("credits", {"amount": "1e3"}, 422, "decimal text"),
        ("credits", {"amount": "--5"}, 422, "decimal text"),
        ("credits", {"amount": "5 000"}, 422, "decimal text"),
        ("credits", {"amount": ""}, 422, "decimal text"),
        ("credits", {"amount": "\u0665"}, 422, "decimal text"),
        ("credits", {"amount": "99999999999999999999"}, 422, "decimal text"),
        ("credits", {"amount": "1000000000000.000001"}, 422, "at most 1000000000000 credits"),
        ("credits", {"amount": "-10.000001"}, 409, "has 10 credits available, and cannot go below zero"),
        ("credits", {"reason": " "}, 422, "The reason is a line"),
        ("credits", {"reason": "a\r\nb"}, 422, "The reason is a line"),
        ("credits", {"reason": "x" * 201}, 422, "1 to 200 characters"),
        ("suspend", {"reason": ""}, 422, "The reason is a line"),
        ("role", {"reason": ""}, 422, "The reason is a line"),
        ("role", {"role": "owner"}, 422, "Choose a role"),
        ("role", {"role": ""}, 422, "Choose a role"),
    ],
)
async def test_a_mistake_changes_nothing_and_the_page_says_what_to_change(
    office: Office, form: str, wrong: dict[str, str], status: int, sentence: str
) -> None:
    staff, target = await office.somebody("admin"), await office.person(credit="10")
    right = {"amount": "5", "reason": "because", "role": "moderator", "once": str(request_id.make())}
    before = await office.state()

    answer = await staff.send(f"/staff/users/{target}/{form}", {**right, **wrong})
    as_json = await staff.send(f"/staff/users/{target}/{form}", {**right, **wrong}, accept="application/json")

    assert (answer.status, as_json.status) == (status, status)
    assert sentence in words(answer)
    assert 'role="alert"' in answer.text
    assert sentence in as_json.json["detail"]
    assert await office.state() == before


async def test_after_a_mistake_the_form_is_filled_in_as_before(office: Office) -> None:
    staff, target = await office.somebody("admin"), await office.person()

    page = await staff.send(
        f"/staff/users/{target}/credits", {"amount": "-1", "reason": '"><b>', "once": str(request_id.make())}
    )

    assert (
        'name="amount" required maxlength="24" autocomplete="off" aria-describedby="amount-hint" value="-1"'
        in page.text
    )
    assert 'value="&#34;&gt;&lt;b&gt;"' in page.text
    assert (
        await staff.send(f"/staff/users/{target}/credits", {"amount": "1", "reason": "x", "once": once(page)})
    ).status == 303


async def test_more_credit_than_an_account_can_hold_is_refused_with_a_sentence(office: Office) -> None:
    staff, target = await office.somebody("admin"), await office.person()
    await office.gateway.pool.execute(
        """UPDATE accounts SET available = 9223372036854000000, granted = 9223372036854000000
            WHERE id = (SELECT account FROM users WHERE id = $1)""",
        target,
    )
    before = await office.state()

    answer = await staff.send(
        f"/staff/users/{target}/credits", {**REASON, "amount": "1000000000000", "once": str(request_id.make())}
    )

    assert answer.status == 409
    assert "cannot hold so many credits" in words(answer)
    assert await office.state() == before


async def test_a_form_that_is_sent_many_times_at_once_counts_once(office: Office) -> None:
    staff, target = await office.somebody("admin"), await office.person(credit="10")
    form = {**REASON, "amount": "5", "once": once(await staff.page(f"/staff/users/{target}"))}

    answers = await asyncio.gather(*(staff.send(f"/staff/users/{target}/credits", form) for _ in range(6)))
    later = await staff.send(f"/staff/users/{target}/credits", form)
    page = await staff.page(later.location)

    assert [answer.status for answer in [*answers, later]] == [303] * 7
    assert await office.available(target) == 15_000_000
    assert [row[2] for row in await office.audit()] == ["credits given"]
    assert "This was done already, once" in words(page)
    assert await office.gateway.violations() == {}


@pytest.mark.parametrize("change", ["amount", "user"])
async def test_a_sent_form_that_was_changed_is_not_taken_for_the_same(office: Office, change: str) -> None:
    staff, target, other = await office.somebody("admin"), await office.person(), await office.person()
    form = {**REASON, "amount": "5", "once": str(request_id.make())}
    await staff.send(f"/staff/users/{target}/credits", form)
    before = await office.state()

    user = other if change == "user" else target
    answer = await staff.send(f"/staff/users/{user}/credits", {**form, "amount": "7" if change == "amount" else "5"})

    assert answer.status == 422
    assert "sent before, with something else in it" in words(answer)
    assert await office.state() == before


def long_ago() -> UUID:
    return UUID(int=request_id.make().int - ((25 * 3600 * 1000) << 80))


def ahead() -> UUID:
    return UUID(int=request_id.make().int + ((3600 * 1000) << 80))


@pytest.mark.parametrize(
    "id",
    ["", "x", str(uuid4()), str(long_ago()), str(ahead()), str(UUID(int=0))],
    ids=["none", "word", "random", "old", "ahead", "zero"],
)
async def test_only_a_fresh_page_can_send_credits(office: Office, id: str) -> None:
    """Else an id could fall into a month that is archived."""
    staff, target = await office.somebody("admin"), await office.person()
    before = await office.state()

    answer = await staff.send(f"/staff/users/{target}/credits", {**REASON, "amount": "5", "once": id})

    assert answer.status == 422
    assert "open for too long" in words(answer)
    assert await office.state() == before


async def test_a_new_role_counts_with_the_next_page(office: Office) -> None:
    staff, target = await office.somebody("admin"), await office.person()
    promoted = await office.browser(target)

    before = (await promoted.page("/staff")).status
    answer = await staff.send(f"/staff/users/{target}/role", {**REASON, "role": "moderator"})

    assert answer.location == f"/staff/users/{target}"
    assert [before, (await promoted.page("/staff")).status] == [403, 200]
    assert await office.audit() == [
        (staff.user, target, "role changed", '{"role": "user"}', '{"role": "moderator"}', "because")
    ]


async def test_the_last_admin_who_is_not_suspended_stays_admin(office: Office) -> None:
    staff = await office.somebody("admin")
    await office.person("admin", suspended=True)
    before = await office.state()

    answer = await staff.send(f"/staff/users/{staff.user}/role", {**REASON, "role": "moderator"})

    assert answer.status == 409
    assert "the last admin who is not suspended" in words(answer)
    assert await office.state() == before


async def test_an_admin_steps_down_while_another_is_left(office: Office) -> None:
    staff = await office.somebody("admin")
    await office.person("admin")

    answer = await staff.send(f"/staff/users/{staff.user}/role", {**REASON, "role": "user"})

    assert (answer.status, answer.location) == (303, "/")
    assert (await staff.page("/staff")).status == 403


@pytest.mark.parametrize(
    "path", ["/staff/users/999999", "/staff/users/x", "/staff/users/0", "/staff/users/99999999999999999999"]
)
async def test_there_is_nothing_at_users_who_are_not_there(office: Office, path: str) -> None:
    staff = await office.somebody("admin")
    form = {**REASON, "amount": "5", "once": str(request_id.make()), "role": "admin"}

    statuses = [(await staff.page(path)).status]
    statuses += [(await staff.send(f"{path}/{name}", form)).status for name in ("suspend", "resume", "credits", "role")]

    assert statuses == [404] * 5
