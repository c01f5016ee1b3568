"""The front page: what this gateway sells, at which price, and the line to call it with."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp_jinja2
import jinja2
from aiohttp import web

from nijika import credits
from nijika.errors import NotFound
from nijika.module import FREE, Plugin, Price, Route
from nijika.state import MATCH, PUBLIC_URL, ROUTES

PACKAGE = Path(__file__).parents[1]
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Site(Plugin):
    """`GET /`, made from the configured routes, and `/static/…` with what it needs; nothing is from elsewhere."""

    def routes(self) -> Iterable[Route]:
        """The page and its files."""
        yield Route(("GET",), "/", _landing, FREE)
        yield Route(("GET",), "/static/{file}", _static, FREE)

    @asynccontextmanager
    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        """Load the templates; every value in them is escaped."""
        loader = jinja2.FileSystemLoader(_folder("templates"))
        aiohttp_jinja2.setup(app, loader=loader, undefined=jinja2.StrictUndefined, autoescape=True)
        yield


async def _landing(request: web.Request) -> web.Response:
    routes = [_offer(route) for route in request.app[ROUTES] if route.upstream is not None]
    page = aiohttp_jinja2.render_template("landing.html", request, {"url": request.app[PUBLIC_URL], "routes": routes})
    page.headers.update(SECURITY)
    return page


async def _static(request: web.Request) -> web.StreamResponse:
    """Only names of files that are there: a name cannot lead elsewhere, because a segment holds no slash."""
    files = {file.name: file for file in _folder("static").iterdir() if file.is_file()}
    file = files.get(request[MATCH].variables["file"])
    if file is None:
        raise NotFound
    return web.FileResponse(file, headers={"Cache-Control": "public, max-age=3600", **SECURITY})


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


def _folder(name: str) -> Path:
    """Inside of the package when it is installed, beside it in the source."""
    packaged = PACKAGE / name
    return packaged if packaged.is_dir() else PACKAGE.parent / name
