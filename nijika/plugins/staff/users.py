"""All users, and the search for one."""

from collections.abc import Iterable

from aiohttp import web

from nijika.database import connected
from nijika.module import FREE, Route
from nijika.pages import words
from nijika.pages.paging import ROWS, paged
from nijika.pages.render import page
from nijika.state import POOL
from nijika.store import users

PATH = "/staff"
SEARCH_CHARACTERS_MAX = 100


def routes() -> Iterable[Route]:
    """`/staff?search=…&before=…`."""
    yield Route(("GET",), PATH, _list, FREE, who="moderator")


async def _list(request: web.Request) -> web.Response:
    # PostgreSQL's texts hold every character but this one.
    search = request.query.get("search", "").replace("\0", "").strip()[:SEARCH_CHARACTERS_MAX]
    before = words.row_number(request.query.get("before", ""))
    async with connected(request.app[POOL]) as connection:
        rows = await users.search(connection, search, before=before, limit=ROWS + 1)
    query = {"search": search, "before": str(before or "")}
    return page(
        request,
        "staff/users.html",
        search=search,
        list=paged(rows, PATH, query, cursor="id"),
        visible=words.visible,
    )
