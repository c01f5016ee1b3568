"""The front page: what this gateway sells, at which price, and the line to call it with."""

from collections.abc import Iterable

from aiohttp import web

from nijika import credits
from nijika.errors import NotFound
from nijika.module import FREE, Plugin, Price, Route
from nijika.pages.render import folder, page, security
from nijika.state import MATCH, PUBLIC_URL, ROUTES


class Site(Plugin):
    """`GET /`, made from the configured routes, and `/static/…` with what it needs; nothing is from elsewhere."""

    def routes(self) -> Iterable[Route]:
        """The page and its files."""
        yield Route(("GET",), "/", _landing, FREE, who="visitor")
        yield Route(("GET",), "/static/{file}", _static, FREE)


async def _landing(request: web.Request) -> web.Response:
    routes = [_offer(route) for route in request.app[ROUTES] if route.upstream is not None]
    return page(request, "landing.html", url=request.app[PUBLIC_URL], routes=routes)


async def _static(request: web.Request) -> web.StreamResponse:
    """Only names of files that are there: a name cannot lead elsewhere, because a segment holds no slash."""
    files = {file.name: file for file in folder("static").iterdir() if file.is_file()}
    file = files.get(request[MATCH].variables["file"])
    if file is None:
        raise NotFound
    return web.FileResponse(file, headers={"Cache-Control": "public, max-age=3600", **security()})


def _offer(route: Route) -> dict[str, str]:
    return {
        "methods": " ".join(route.methods),
        "path": route.path,
        "price": _price(route.price),
        "size": f"{route.body_bytes_max / 2**20:.3g} MiB",
    }


def _price(price: Price) -> str:
    if price == FREE:
        return "free"
    amount = credits.show(price.hold)
    unit = "credit" if amount == "1" else "credits"
    return f"{amount} {unit}" if price.capture is None else f"at most {amount} {unit}, by use"
