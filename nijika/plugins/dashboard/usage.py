"""How much was called and spent over a day, a month and a year, by route and by result."""

from collections.abc import Iterable

from aiohttp import web

from nijika.module import FREE, Route
from nijika.pages.consumption import RESULTS, SPANS, Consumption
from nijika.pages.render import page
from nijika.state import POOL, VISITOR


def routes() -> Iterable[Route]:
    """`/dashboard/usage?span=24h|30d|12m&route=…`."""
    yield Route(("GET",), "/dashboard/usage", _usage, FREE, who="user")


async def _usage(request: web.Request) -> web.Response:
    span, route = request.query.get("span", ""), request.query.get("route", "")
    span = span if span in SPANS else "30d"
    whole = await Consumption.of(request.app[POOL], request[VISITOR].account, SPANS[span])
    called = sorted(name for name, _ in whole.by_route)
    return page(
        request,
        "dashboard/usage.html",
        spans=SPANS,
        span=span,
        called=called,
        chosen=route if route in called else "",
        used=whole.only(route) if route in called else whole,
        results=RESULTS,
    )
