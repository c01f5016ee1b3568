"""Rate limits as remove.bg tells them: X-RateLimit-Reset is a moment there, and not a number of seconds."""

import time

from aiohttp import web

from nijika.state import LIMIT_FIELDS

RESET = "X-RateLimit-Reset"

_COUNTED: web.RequestKey[bool] = web.RequestKey("_COUNTED", bool)


def count_from_epoch(request: web.Request) -> None:
    """Let the answer tell as a Unix timestamp when more calls may be made; a second time it does nothing.

    Source: remove.bg's API page, "Rate Limit".
    """
    fields = request.get(LIMIT_FIELDS)
    if fields is not None and _COUNTED not in request:
        request[LIMIT_FIELDS] = {**fields, RESET: str(int(time.time()) + int(fields[RESET]))}
        request[_COUNTED] = True
