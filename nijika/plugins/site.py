"""The front page: what this gateway sells, at which price, and the line to call it with."""

from collections.abc import Iterable

from aiohttp import hdrs, web

from nijika.errors import NotFound
from nijika.module import FREE, Plugin, Route
from nijika.pages import offer, static
from nijika.pages.render import page, security
from nijika.state import MATCH, PUBLIC_URL, ROUTES, SIGN_IN

YEAR_SECONDS = 31_536_000
TYPES = {".js": "text/javascript", ".webp": "image/webp"}  # the system's table may lack them


class Site(Plugin):
    """`GET /`, made from the configured routes, and `/static/…` with what it needs; nothing is from elsewhere."""

    def routes(self) -> Iterable[Route]:
        """The page and its files."""
        yield Route(("GET",), "/", _landing, FREE, who="visitor", about=None)
        yield Route(("GET",), "/static/{file}", _static, FREE, about=None)


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


async def _static(request: web.Request) -> web.StreamResponse:
    """Only names of files that are there: a name cannot lead elsewhere, because a segment holds no slash.

    Under the address with its digest a file never changes; under any other one browsers ask whether it has.
    """
    files = {file.name: file for file in static.folder("static").iterdir() if file.is_file()}
    file = files.get(request[MATCH].variables["file"])
    if file is None:
        raise NotFound
    stays = request.query.get("v") == static.digest(file)
    caching = f"public, max-age={YEAR_SECONDS}, immutable" if stays else "no-cache"
    headers = {hdrs.CACHE_CONTROL: caching, **security()}
    if file.suffix in TYPES:
        headers[hdrs.CONTENT_TYPE] = TYPES[file.suffix]
    return web.FileResponse(file, headers=headers)


def _offer(route: Route) -> dict[str, str]:
    return {
        "methods": " ".join(route.methods),
        "path": route.path,
        "summary": route.about.summary if route.about else "",
        "price": offer.price(route.price),
        "size": offer.size(route.body_bytes_max),
    }
