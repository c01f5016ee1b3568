"""The audit page tells who did what to whom, the latest first."""

import re

import asyncpg
import pytest

from nijika import request_id
from nijika.pages.paging import ROWS
from nijika.store import audit, users
from tests.plugins.staff.conftest import Office, words


async def test_actions_of_people_and_of_the_command_line_are_told(office: Office) -> None:
    admin, target = await office.somebody("admin"), await office.person(name="<b>bold")
    await admin.send(f"/staff/users/{target}/role", {"role": "moderator", "reason": "helps"})
    await admin.send(f"/staff/users/{target}/credits", {"amount": "3", "reason": "x", "once": str(request_id.make())})
    async with office.gateway.pool.acquire() as connection:
        await audit.note(connection, "added", actor=None, subject=target, after={"role": "user"})

    page = await admin.page("/staff/audit")

    actions = re.findall(r'<td data-label="Action" class="nowrap">([a-z ]+)</td>', page.text)
    assert actions == ["added", "credits given", "role changed"]
    assert "the command line added <b>bold role: user" in words(page)
    assert "role changed <b>bold role: user → moderator helps" in words(page)
    assert "&lt;b&gt;bold" in page.text


async def test_who_is_gone_is_told_by_number(office: Office) -> None:
    admin, target = await office.somebody("admin"), await office.person()
    await admin.send(f"/staff/users/{target}/suspend", {"reason": "x"})
    async with office.gateway.pool.acquire() as connection:
        await users.delete(connection, target)

    page = await admin.page("/staff/audit")

    assert f"user {target} (deleted)" in words(page)
    assert f'href="/staff/users/{target}"' not in page.text


async def test_an_empty_audit_says_so(office: Office) -> None:
    admin = await office.somebody("admin")

    assert "Nothing was done yet." in words(await admin.page("/staff/audit"))


async def test_each_action_stands_on_one_page(office: Office) -> None:
    admin = await office.somebody("admin")
    await office.gateway.pool.execute(
        "INSERT INTO audit (action) SELECT 'action ' || n FROM generate_series(1, $1) n", 2 * ROWS + 3
    )

    seen, path = [], "/staff/audit"
    while path:
        page = await admin.page(path)
        seen += [int(number) for number in re.findall("action ([0-9]+)", page.text)]
        link = re.search(r'<a href="([^"]+)" rel="next"', page.text)
        path = link[1] if link else ""

    assert seen == list(range(2 * ROWS + 3, 0, -1))


async def test_what_was_written_down_stays(office: Office) -> None:
    await office.gateway.pool.execute("INSERT INTO audit (action) VALUES ('x')")

    for sql in ("UPDATE audit SET action = 'y'", "DELETE FROM audit", "TRUNCATE audit"):
        with pytest.raises(asyncpg.RaiseError):
            await office.gateway.pool.execute(sql)
