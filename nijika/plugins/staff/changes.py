"""What staff can do to a user: suspend and resume, give and take credit, change the role."""

import re
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from uuid import UUID

from aiohttp import web

from nijika import credits, oversight, request_id
from nijika.database import Connection, connected
from nijika.errors import BadForm, BelowZero, LastAdmin, TooMuchCredit
from nijika.module import Route
from nijika.pages import cookie, form
from nijika.pages.form import Form
from nijika.pages.render import wants_page
from nijika.plugins.staff import user
from nijika.state import POOL, VISITOR
from nijika.store.sessions import ROLES

REASON_CHARACTERS_MAX = 200
FORM_SECONDS = 86_400.0
SKEW_SECONDS = 60.0

Change = Callable[[Connection, int, int, Form], Awaitable[str]]
"""What a form does: with the connection, the actor and the user; returns what to say."""

_AMOUNT = re.compile(r"([+\-\u2212]?)(.*)", re.DOTALL)


def routes() -> Iterable[Route]:
    """A form for each."""
    yield form.post(f"{user.PATH}/suspend", partial(_told, partial(_suspend, suspended=True)), who="moderator")
    yield form.post(f"{user.PATH}/resume", partial(_told, partial(_suspend, suspended=False)), who="moderator")
    yield form.post(f"{user.PATH}/credits", partial(_told, _credits), who="admin")
    yield form.post(f"{user.PATH}/role", partial(_told, _role), who="admin")


async def _told(change: Change, request: web.Request, fields: Form) -> web.StreamResponse:
    """A mistake shows the page again, with the form as it was filled in."""
    actor, subject = request[VISITOR].user, user.named(request)
    try:
        async with connected(request.app[POOL]) as connection:
            notice = await change(connection, actor, subject, fields)
    except (BadForm, BelowZero, LastAdmin, TooMuchCredit) as mistake:
        if not wants_page(request):
            raise
        return await user.shown(request, mistake=mistake, fields=fields)
    await cookie.leave_notice(request, notice)
    keeps_power = actor != subject or fields.get("role", "admin") != "user"
    return form.back(user.PATH.format(id=subject) if keeps_power else "/")


async def _suspend(connection: Connection, actor: int, subject: int, fields: Form, *, suspended: bool) -> str:
    await oversight.set_suspended(connection, actor=actor, user=subject, suspended=suspended, reason=_reason(fields))
    if suspended:
        return "The account is suspended. Its keys are refused from now on."
    return "The account is active again."


async def _credits(connection: Connection, actor: int, subject: int, fields: Form) -> str:
    amount, reason, once = _amount(fields), _reason(fields), _once(fields)
    done = await oversight.adjust(connection, id=once, actor=actor, user=subject, amount=amount, reason=reason)
    if done.again:
        return "This was done already, once. The form came twice."
    verb = "given" if amount > 0 else "taken"
    return f"{credits.show(abs(amount))} credits {verb}; {credits.show(done.available)} are available now."


async def _role(connection: Connection, actor: int, subject: int, fields: Form) -> str:
    role = next((role for role in ROLES if role == fields.get("role")), None)
    if role is None:
        raise BadForm("Choose a role.")
    await oversight.set_role(connection, actor=actor, user=subject, role=role, reason=_reason(fields))
    return f"The role is {role} now."


def _reason(fields: Form) -> str:
    return form.text(fields, "reason", label="The reason", characters_max=REASON_CHARACTERS_MAX)


def _amount(fields: Form) -> int:
    """Micro-credits, below zero to take them."""
    sign, digits = _AMOUNT.fullmatch(fields.get("amount", "").strip()).groups()  # type: ignore[union-attr] # it matches anything
    try:
        amount = credits.parse(digits)
    except ValueError as error:
        raise BadForm(f"The amount is not right: {error}.") from None
    if amount == 0:
        raise BadForm("The amount is not right: nothing can be neither given nor taken.")
    return -amount if sign in {"-", "\u2212"} else amount


def _once(fields: Form) -> UUID:
    """The id that the page gave to this form, so that it counts once however often it is sent."""
    try:
        once = UUID(fields.get("once", ""))
    except ValueError:
        once = UUID(int=0)
    age_seconds = ((request_id.make().int >> 80) - (once.int >> 80)) / 1000
    if once.version != 7 or not -SKEW_SECONDS <= age_seconds < FORM_SECONDS:  # noqa: PLR2004 (UUIDv7)
        raise BadForm("This page was open for too long. Nothing was changed; please send it anew.")
    return once
