"""Below which amounts the account wants to be told: one form for all of them."""

from collections.abc import Iterable

from aiohttp import web

from nijika.database import connected
from nijika.errors import BadForm
from nijika.module import Route
from nijika.pages import cookie, form
from nijika.pages.form import Form
from nijika.plugins.webhooks.page import PATH, THRESHOLDS_MAX, Wrong, shown
from nijika.state import POOL, VISITOR
from nijika.store import audit, thresholds


def routes() -> Iterable[Route]:
    """The form."""
    yield form.post(f"{PATH}/thresholds", _put, who="user")


async def _put(request: web.Request, fields: Form) -> web.StreamResponse:
    visitor = request[VISITOR]
    try:
        amounts = _amounts(fields)
    except BadForm as mistake:
        return await shown(request, status=mistake.status, wrong=Wrong("thresholds", str(mistake), fields))
    async with connected(request.app[POOL]) as connection, connection.transaction():
        await thresholds.put(connection, visitor.account, thresholds.LOW, amounts)
        await audit.note(connection, "thresholds set", actor=visitor.user, subject=visitor.user)
    await cookie.leave_notice(request, "The thresholds are set.")
    return form.back(f"{PATH}#thresholds")


def _amounts(fields: Form) -> set[int]:
    lines = fields.getall("amount", [])
    amounts = {form.amount(Form(amount=line), "amount", label="A threshold") for line in lines} - {None}
    if 0 in amounts:
        raise BadForm("A threshold is above 0: nothing falls below that.")
    if len(amounts) > THRESHOLDS_MAX:
        raise BadForm(f"An account has at most {THRESHOLDS_MAX} thresholds.")
    return {amount for amount in amounts if amount is not None}
