"""What was sent can be sent again by hand."""

from collections.abc import Iterable

from aiohttp import web

from nijika.database import connected
from nijika.errors import BadForm, NotFound
from nijika.module import Route
from nijika.pages import cookie, form, words
from nijika.pages.form import Form
from nijika.plugins.webhooks.page import PATH, allowed
from nijika.state import COURIER, MATCH, POOL, VISITOR
from nijika.store import deliveries


def routes() -> Iterable[Route]:
    """The button of each row."""
    yield form.post(f"{PATH}/sent/{{id}}/again", allowed(_again), who="user")


async def _again(request: web.Request, _: Form) -> web.StreamResponse:
    number = words.row_number(request[MATCH].variables["id"])
    async with connected(request.app[POOL]) as connection, connection.transaction():
        row = None if number is None else await deliveries.one(connection, request[VISITOR].account, number)
        if row is None:
            raise NotFound
        if row["is_stopped"]:
            raise BadForm("This webhook is stopped. Resume it first.")
        if row["is_under_way"]:
            raise BadForm("It is being sent at this moment. Load the page again to see what came of it.")
        await deliveries.retry(connection, row["id"])
    request.app[COURIER].wake()
    await cookie.leave_notice(request, "It is on its way again. Load the page again to see what came of it.")
    return form.back(f"{PATH}#sent")
