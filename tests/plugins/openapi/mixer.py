"""A plugin from outside, as an operator would write one."""

from collections.abc import Iterable

from aiohttp import web

from nijika.module import FREE, Plugin, Price, Route


class Mixer(Plugin):
    """A plugin from outside, which says of itself only what stands in a docstring."""

    def routes(self) -> Iterable[Route]:
        yield Route(("POST",), "/mix/{colour}", self._mix, Price(250_000))
        yield Route(("GET",), "/hidden", self._mix, FREE, about=None)

    async def _mix(self, _: web.Request) -> web.StreamResponse:
        """Mix a colour.

        It takes a while.
        """
        return web.Response(text="brown")
