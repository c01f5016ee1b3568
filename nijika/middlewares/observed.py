"""The outermost link: names each request, and looks at the clock when it comes and when it goes."""

import time

from aiohttp import web

from nijika import request_id
from nijika.module import Handler, Middleware
from nijika.proxy.elsewhere import begun
from nijika.state import BEGAN, OWN_SECONDS, REQUEST_ID


class Observed(Middleware):
    """Always first; it needs no table in config.toml."""

    use: str = "observed"

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The handler's answer. aiohttp makes a task of each request, so what is written under its id ends with it."""
        request[REQUEST_ID] = request_id.make()
        request_id.current.set(request[REQUEST_ID])
        began = request[BEGAN] = time.perf_counter()
        others = begun(request)
        try:
            return await handler(request)
        finally:
            request[OWN_SECONDS] = max(time.perf_counter() - began - others.caller - others.worker, 0.0)
