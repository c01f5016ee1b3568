"""Two hands at once: somebody is always left who may do everything, and lost power is lost at once."""

import asyncio

from nijika import request_id
from nijika.store import users
from tests.plugins.staff.conftest import Office

REASON = {"reason": "because"}


async def test_two_admins_who_demote_each_other_at_once_leave_one(office: Office) -> None:
    one, other = await office.somebody("admin"), await office.somebody("admin")
    form = {**REASON, "role": "user"}

    async with office.locks():
        both = asyncio.gather(
            one.send(f"/staff/users/{other.user}/role", form), other.send(f"/staff/users/{one.user}/role", form)
        )
        await office.waiting(2)
    statuses = sorted(answer.status for answer in await both)

    assert statuses == [303, 403]
    assert await office.gateway.pool.fetchval("SELECT count(*) FROM users WHERE role = 'admin'") == 1


async def test_two_admins_who_step_down_at_once_leave_one(office: Office) -> None:
    admins = [await office.somebody("admin"), await office.somebody("admin")]

    async with office.locks():
        both = asyncio.gather(
            *(admin.send(f"/staff/users/{admin.user}/role", {**REASON, "role": "user"}) for admin in admins)
        )
        await office.waiting(2)
    statuses = sorted(answer.status for answer in await both)

    assert statuses == [303, 409]
    assert await office.gateway.pool.fetchval("SELECT count(*) FROM users WHERE role = 'admin'") == 1


async def test_two_admins_who_suspend_each_other_at_once_leave_one(office: Office) -> None:
    one, other = await office.somebody("admin"), await office.somebody("admin")

    async with office.locks():
        both = asyncio.gather(
            one.send(f"/staff/users/{other.user}/suspend", REASON),
            other.send(f"/staff/users/{one.user}/suspend", REASON),
        )
        await office.waiting(2)
    statuses = sorted(answer.status for answer in await both)

    assert statuses == [303, 403]
    assert await office.gateway.pool.fetchval("SELECT count(*) FROM accounts WHERE suspended_at IS NULL") == 1


async def test_a_moderator_who_was_demoted_a_moment_ago_cannot_act(office: Office) -> None:
    moderator, target = await office.somebody("moderator"), await office.person()
    assert moderator.user is not None

    async with office.locks(moderator.user, target) as connection:
        acting = asyncio.create_task(moderator.send(f"/staff/users/{target}/suspend", REASON))
        await office.waiting(1)
        await users.set_role(connection, moderator.user, "user")
    answer = await acting

    assert answer.status == 403
    assert (await office.state())["audit"] == 0
    assert await office.gateway.pool.fetchval("SELECT count(*) FROM accounts WHERE suspended_at IS NOT NULL") == 0


async def test_an_admin_who_was_suspended_a_moment_ago_gives_no_credit(office: Office) -> None:
    admin, target = await office.somebody("admin"), await office.person()
    assert admin.user is not None
    account = await office.gateway.pool.fetchval("SELECT account FROM users WHERE id = $1", admin.user)
    form = {**REASON, "amount": "5", "once": str(request_id.make())}

    async with office.locks(admin.user, target) as connection:
        acting = asyncio.create_task(admin.send(f"/staff/users/{target}/credits", form))
        await office.waiting(1)
        await users.suspend(connection, account, suspended=True)
    answer = await acting

    assert answer.status == 403
    assert await office.available(target) == 0


async def test_a_target_who_was_promoted_a_moment_ago_is_not_suspended(office: Office) -> None:
    moderator, target = await office.somebody("moderator"), await office.person()

    async with office.locks(target) as connection:
        acting = asyncio.create_task(moderator.send(f"/staff/users/{target}/suspend", REASON))
        await office.waiting(1)
        await users.set_role(connection, target, "admin")
    answer = await acting

    assert answer.status == 403
    assert (await office.state())["audit"] == 0
