"""Who gets where in the staff's pages, and that nobody else changes anything."""

from typing import Any

import pytest

from nijika import request_id
from nijika.route import Who
from nijika.state import ROUTES
from tests.browsing import Browser
from tests.plugins.staff.conftest import Office

LEAST: dict[tuple[str, str], Who] = {
    ("GET", "/staff"): "moderator",
    ("GET", "/staff/users/{id}"): "moderator",
    ("POST", "/staff/users/{id}/suspend"): "moderator",
    ("POST", "/staff/users/{id}/resume"): "moderator",
    ("POST", "/staff/users/{id}/credits"): "admin",
    ("POST", "/staff/users/{id}/role"): "admin",
    ("GET", "/staff/system"): "admin",
    ("GET", "/staff/system/ledger"): "admin",
    ("GET", "/staff/audit"): "admin",
}
"""Each route of the staff's pages, and the least role that gets through."""

THROUGH: dict[Who, set[str]] = {"moderator": {"moderator", "admin"}, "admin": {"admin"}}

EVERYBODY = ("nobody", "user", "moderator", "admin", "suspended user", "suspended moderator", "suspended admin")


async def comer(office: Office, who: str) -> Browser:
    if who == "nobody":
        return await office.browser(None)
    return await office.browser(await office.person(who.rsplit(maxsplit=1)[-1], suspended=who.startswith("suspended")))


def fields() -> dict[str, str]:
    """What satisfies each of the forms."""
    return {"reason": "because", "amount": "5", "once": str(request_id.make()), "role": "moderator"}


async def test_each_route_lets_in_whom_the_table_names_and_nobody_else_changes_anything(office: Office) -> None:
    await office.person("admin")
    browsers = {who: await comer(office, who) for who in EVERYBODY}
    routes = [route for route in office.gateway.app[ROUTES] if route.path == "/staff" or route.path[:7] == "/staff/"]
    declared = {(method, route.path): route.who for route in routes for method in route.methods}
    got_in: dict[tuple[str, str], set[str]] = {}
    for route in routes:
        for method in route.methods:
            through = got_in.setdefault((method, route.path), set())
            for who, somebody in browsers.items():
                target = await office.person(credit="1", suspended=route.path.endswith("/resume"))
                path = route.path.replace("{id}", str(target))
                before = await office.state()

                answer = await (somebody.page(path) if method == "GET" else somebody.send(path, fields()))

                changed = await office.state() != before
                if answer.status in {200, 303} and "/login" not in answer.location:
                    through.add(who)
                assert answer.status in {200, 303, 401, 403}
                assert changed == (method == "POST" and who in through), (method, path, who)

    assert declared == LEAST
    assert got_in == {place: THROUGH[least] for place, least in LEAST.items()}


async def test_who_is_not_signed_in_is_led_to_the_sign_in(office: Office) -> None:
    nobody = await office.browser(None)

    assert (await nobody.page("/staff/system")).location == "/login?next=/staff/system"
    assert (await nobody.send("/staff/users/1/role", fields())).status == 401


@pytest.mark.parametrize(
    ("actor", "subject", "status"),
    [
        ("moderator", "user", 303),
        ("moderator", "moderator", 303),
        ("moderator", "admin", 403),
        ("admin", "moderator", 303),
        ("admin", "admin", 303),
    ],
)
async def test_nobody_suspends_or_resumes_a_higher_role(office: Office, actor: str, subject: str, status: int) -> None:
    staff, target = await office.somebody(actor), await office.person(subject)
    suspended = await office.person(subject, suspended=True)
    before = await office.state()

    answers = [
        (await staff.send(f"/staff/users/{user}/{verb}", {"reason": "because"})).status
        for user, verb in ((target, "suspend"), (suspended, "resume"))
    ]

    assert answers == [status, status]
    assert (await office.state() == before) == (status == 403)


@pytest.mark.parametrize("role", ["moderator", "admin"])
async def test_nobody_suspends_the_own_account(office: Office, role: str) -> None:
    staff = await office.somebody(role)
    before = await office.state()

    answer = await staff.send(f"/staff/users/{staff.user}/suspend", {"reason": "because"})

    assert answer.status == 403
    assert await office.state() == before


@pytest.mark.parametrize("form", ["suspend", "resume", "credits", "role"])
@pytest.mark.parametrize("forged", [{"token": None}, {"token": "x" * 43}, {"origin": "https://evil.example"}])
async def test_a_form_from_elsewhere_changes_nothing(office: Office, form: str, forged: dict[str, Any]) -> None:
    admin, target = await office.somebody("admin"), await office.person(suspended=form == "resume")
    before = await office.state()

    answer = await admin.send(f"/staff/users/{target}/{form}", fields(), **forged)

    assert answer.status == 403
    assert await office.state() == before


async def test_looking_at_pages_changes_nothing(office: Office) -> None:
    admin, target = await office.somebody("admin"), await office.person(credit="3")
    pages = ("", f"/users/{target}", "/system", "/system/ledger", "/audit", "/users/999999", "?search=x&before=3")
    before = await office.state()

    statuses = [(await admin.page(f"/staff{path}")).status for path in pages]
    methods = [(await admin.page(f"/staff/users/{target}/{name}")).status for name in ("suspend", "credits", "role")]

    assert statuses == [200, 200, 200, 200, 200, 404, 200]
    assert methods == [405, 405, 405]
    assert await office.state() == before


async def test_only_moderators_see_the_room_and_only_admins_its_tabs(office: Office) -> None:
    moderator, admin = await office.somebody("moderator"), await office.somebody("admin")

    seen = [(await somebody.page("/staff")).text for somebody in (moderator, admin)]

    assert ["/staff/system" in text for text in seen] == [False, True]
    assert ["/staff/audit" in text for text in seen] == [False, True]
    assert all('aria-current="page">Users</a>' in text for text in seen)


async def test_a_moderator_is_not_offered_what_only_admins_may(office: Office) -> None:
    moderator, target, boss = await office.somebody("moderator"), await office.person(), await office.person("admin")

    page = (await moderator.page(f"/staff/users/{target}")).text
    higher = (await moderator.page(f"/staff/users/{boss}")).text

    assert f'action="/staff/users/{target}/suspend"' in page
    assert f"/staff/users/{target}/credits" not in page
    assert f"/staff/users/{target}/role" not in page
    assert f"/staff/users/{boss}/suspend" not in higher
