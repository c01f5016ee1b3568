"""`/static/{file}`: what pages are drawn with. It is there with every configuration, for errors are pages, too."""

from aiohttp import hdrs, web

from nijika.errors import NotFound
from nijika.module import FREE, Route
from nijika.pages import static
from nijika.pages.render import SECURITY
from nijika.state import MATCH

YEAR_SECONDS = 31_536_000
TYPES = {".js": "text/javascript", ".webp": "image/webp"}  # the system's table may lack them


def route() -> Route:
    """The one route of all files."""
    return Route(("GET",), "/static/{file}", _serve, FREE, about=None)


async def _serve(request: web.Request) -> web.StreamResponse:
    """Only names of files that are there: a name cannot lead elsewhere, because a segment holds no slash.

    Under the address with its digest a file never changes; under any other one browsers ask whether it has.
    """
    files = {file.name: file for file in static.folder("static").iterdir() if file.is_file()}
    file = files.get(request[MATCH].variables["file"])
    if file is None:
        raise NotFound
    stays = request.query.get("v") == static.digest(file)
    caching = f"public, max-age={YEAR_SECONDS}, immutable" if stays else "no-cache"
    headers = {hdrs.CACHE_CONTROL: caching, **SECURITY}
    if file.suffix in TYPES:
        headers[hdrs.CONTENT_TYPE] = TYPES[file.suffix]
    return web.FileResponse(file, headers=headers)
