"""The page: where messages go, below which amounts, and what was sent."""

from collections.abc import Iterable
from typing import NamedTuple

from aiohttp import web

from nijika.database import connected
from nijika.errors import Suspended
from nijika.module import FREE, Route
from nijika.pages import form, words
from nijika.pages.form import Form
from nijika.pages.paging import paged
from nijika.pages.render import page
from nijika.route import Routes
from nijika.state import POOL, ROUTES, VAULT, VISITOR
from nijika.store import deliveries, thresholds, webhooks
from nijika.webhooks import message
from nijika.webhooks.news import EVENTS
from nijika.webhooks.schedule import ATTEMPTS_MAX
from nijika.webhooks.signature import Seal

PATH = "/dashboard/webhooks"
ROWS = 20
THRESHOLDS_MAX = 5
OVERLAPS = {"0": "at once", "1": "in an hour", "24": "in a day", "168": "in a week"}
"""How long the former secret signs as well, in hours."""


class Wrong(NamedTuple):
    """A form that could not be taken, the sentence about it, and what was filled in."""

    form: str = ""
    sentence: str = ""
    fields: Form = Form()


NOTHING_WRONG = Wrong()


def routes() -> Iterable[Route]:
    """`/dashboard/webhooks`."""
    yield Route(("GET",), PATH, _page, FREE, who="user")


async def _page(request: web.Request) -> web.Response:
    return await shown(request)


async def shown(
    request: web.Request, *, status: int = 200, revealed: int | None = None, wrong: Wrong = NOTHING_WRONG
) -> web.Response:
    """The page; with the secret of the webhook `revealed`, or with what was `wrong`."""
    account, before = request[VISITOR].account, words.row_number(request.query.get("before", ""))
    async with connected(request.app[POOL]) as connection:
        own = await webhooks.of_account(connection, account)
        marks = await thresholds.of_account(connection, account)
        sent = await deliveries.of_account(connection, account, before=before, limit=ROWS + 1)
    seal = Seal(request.app[VAULT])
    return page(
        request,
        "dashboard/webhooks.html",
        status=status,
        own=own,
        secrets={row["id"]: seal.open(row["sealed"]) for row in own if row["id"] == revealed},
        events=EVENTS,
        overlaps=OVERLAPS,
        thresholds=marks,
        thresholds_max=THRESHOLDS_MAX,
        lowest=lowest_price(request.app[ROUTES]),
        sent=paged(sent, PATH, request.query, cursor="id", limit=ROWS),
        attempts_max=ATTEMPTS_MAX,
        name=message.name,
        body=lambda row: message.body(row["event"], row["happened_at"], row["data"]).decode(),
        duration=words.duration,
        wrong=wrong,
    )


def allowed(answer: form.Answer) -> form.Answer:
    """Of a form that has something sent: a suspended account has nothing sent, and stops or removes at the most."""

    async def checked(request: web.Request, fields: Form) -> web.StreamResponse:
        if request[VISITOR].suspended:
            raise Suspended
        return await answer(request, fields)

    return checked


def lowest_price(routes: Routes) -> int | None:
    """What the cheapest priced call costs, in micro-credits; None if there is none."""
    return min((route.price.hold for route in routes if route.price != FREE), default=None)
