"""The front page: what this gateway sells, at which price, and the line to call it with."""

from collections.abc import Iterable

from aiohttp import web

from nijika.module import FREE, Plugin, Route
from nijika.pages import offer
from nijika.pages.render import page
from nijika.state import PUBLIC_URL, ROUTES, SIGN_IN


class Site(Plugin):
    """`GET /`, made from the configured routes."""

    def routes(self) -> Iterable[Route]:
        """The page."""
        yield Route(("GET",), "/", _landing, FREE, who="visitor", about=None)


async def _landing(request: web.Request) -> web.Response:
    """The example is shown where it can be had."""
    table = request.app[ROUTES]
    routes = offer.sold(table)
    return page(
        request,
        "landing.html",
        url=request.app[PUBLIC_URL],
        offers=[_offer(route) for route in routes],
        example=next((route for route in routes if route.target == offer.CUTOUT), None),
        first=next((route for route in routes if "POST" in route.methods), None),
        price=offer.price,
        bonus=request.app[SIGN_IN].terms.bonus,
    )


def _offer(route: Route) -> dict[str, str]:
    return {
        "methods": " ".join(route.methods),
        "path": route.path,
        "summary": route.about.summary if route.about else "",
        "price": offer.price(route.price),
        "size": offer.size(route.body_bytes_max),
    }
