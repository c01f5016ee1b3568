"""A plugin from outside, as an operator would write one."""

from collections.abc import Iterable

from aiohttp import web

from nijika.module import FREE, Plugin, Price, Route
from nijika.state import VISITOR


class Paint(Plugin):
    """`POST /api/paint` answers with a colour, for half a credit."""

    colour: str

    def routes(self) -> Iterable[Route]:
        yield Route(("POST",), "/api/paint", self._paint, Price(500_000), body_bytes_max=5_000_000)

    async def _paint(self, request: web.Request) -> web.StreamResponse:
        if "fail" in request.query:
            raise RuntimeError("no paint left")
        if "move" in request.query:
            raise web.HTTPFound("/elsewhere")
        if "size" in request.query:
            return web.Response(text=str(len(await request.read())))
        if "stream" in request.query:
            return await self._streamed(request)
        return web.Response(text=self.colour)

    async def _streamed(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(self.colour.encode())
        if "torn" in request.query:
            raise web.HTTPFound("/elsewhere")
        await response.write_eof()
        return response


class Private(Plugin):
    """`GET /private` greets whoever is signed in."""

    def routes(self) -> Iterable[Route]:
        yield Route(("GET",), "/private", self._greet, FREE, who="user")

    async def _greet(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=f"hello, {request[VISITOR].name}")
