"""Who did what to whom, the latest first."""

from collections.abc import Iterable

from aiohttp import web

from nijika.database import connected
from nijika.module import FREE, Route
from nijika.pages import words
from nijika.pages.paging import ROWS, paged
from nijika.pages.render import page
from nijika.state import POOL
from nijika.store import audit

PATH = "/staff/audit"


def routes() -> Iterable[Route]:
    """`/staff/audit?before=…`, for admins; moderators see on a user's page what was done to that user."""
    yield Route(("GET",), PATH, _list, FREE, who="admin")


async def _list(request: web.Request) -> web.Response:
    before = words.row_number(request.query.get("before", ""))
    async with connected(request.app[POOL]) as connection:
        rows = await audit.page(connection, before=before, limit=ROWS + 1)
    actions = [{**row, "changes": words.changes(row["before"], row["after"])} for row in rows]
    query = {"before": str(before or "")}
    return page(
        request,
        "staff/audit.html",
        list=paged(actions, PATH, query, cursor="id"),
        visible=words.visible,
    )
