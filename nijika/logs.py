"""One readable line a request, and nothing in it that a caller could forge or that must stay secret."""

import logging
import sys
import time
from urllib.parse import quote

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from nijika.state import CLIENT_IP, CODE, PATH, REQUEST_ID

MALFORMED_SECONDS = 1.0


def configure() -> None:
    """Log to standard error; standard output belongs to what commands print."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


class AccessLog(AbstractAccessLogger):
    """`address method path status bytes seconds request-id problem-code`; never a query, a field or a body."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Write the line; `time` is in seconds."""
        self.logger.info(
            "%s %s %s %d %d %.3f %s %s",
            request.get(CLIENT_IP, "-"),
            request.method if request.method.isalpha() else "-",
            quote(request.get(PATH, "-"), safe="/%~-._!$&'()*+,;=:@"),
            response.status,
            response.body_length,
            time,
            request.get(REQUEST_ID, "-"),
            request.get(CODE, "-"),
        )


class Malformed:
    """Requests that are no HTTP: one line in MALFORMED_SECONDS at most, with the number of those it stands for."""

    def __init__(self) -> None:
        self._log = logging.getLogger("nijika.malformed")
        self._count = 0
        self._quiet_until = 0.0

    def note(self, peer: str | None, what: BaseException | None) -> None:
        """Count one, and write the line if none was written a moment ago."""
        self._count += 1
        if time.monotonic() < self._quiet_until:
            return
        self._log.warning("%d malformed, the last from %s: %s", self._count, peer, type(what).__name__)
        self._count = 0
        self._quiet_until = time.monotonic() + MALFORMED_SECONDS
