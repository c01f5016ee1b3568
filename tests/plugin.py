"""A plugin from outside, as an operator would write one."""

from collections.abc import Iterable

from aiohttp import web

from nijika.module import Plugin, Price, Route


class Paint(Plugin):
    """`POST /api/paint` answers with a colour, for half a credit."""

    colour: str

    def routes(self) -> Iterable[Route]:
        yield Route(("POST",), "/api/paint", self._paint, Price(500_000), needs_key=True)

    async def _paint(self, request: web.Request) -> web.Response:
        if "fail" in request.query:
            raise RuntimeError("no paint left")
        return web.Response(text=self.colour)
