"""What is told of each request once it is over: one line in the log, and its numbers in the metrics.

Never a query, a field, a body, a key or a cookie; accounts and keys go by their ids.
"""

import logging
import time
from urllib.parse import quote

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from nijika.errors import BadRequest
from nijika.metrics import requests
from nijika.metrics.registry import NOTHING
from nijika.metrics.requests import Spent
from nijika.route import ANYWHERE
from nijika.state import BEGAN, CLIENT_IP, CODE, KEY, MATCH, OWN_SECONDS, PATH, REQUEST_ID, VISITOR

PATH_CHARACTERS_MAX = 512  # so that no line is so long that two processes could write into each other's

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

log = logging.getLogger("aiohttp.access")


class AccessLog(AbstractAccessLogger):
    """Is called by aiohttp with each request that was answered."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Write the line, and count; `time` is in seconds. What is no HTTP has no line of its own (see `Malformed`)."""
        if REQUEST_ID in request:
            _tell(request, response.status, time, request.get(CODE, NOTHING))
        else:
            requests.refused(response.status, BadRequest.code, request.writer.output_size)


def unanswered(request: web.BaseRequest, status: int, code: str) -> None:
    """The request ends without an answer, or without all of it: aiohttp would say nothing of it."""
    if REQUEST_ID in request:
        _tell(request, status, time.perf_counter() - request[BEGAN], code)


def route(request: web.BaseRequest) -> str:
    """The route's name for logs, metrics and traces; "-" for a path that leads nowhere."""
    path = request[MATCH].route.path if MATCH in request else ANYWHERE
    return NOTHING if path == ANYWHERE else path


def method(request: web.BaseRequest) -> str:
    """The method, if it is one that anybody serves; callers may make up others."""
    return request.method if request.method in METHODS else NOTHING


def path(request: web.BaseRequest) -> str:
    """The canonical path in printable ASCII, or the beginning of a very long one."""
    return quote(request.get(PATH, NOTHING), safe="/%~-._!$&'()*+,;=:@")[:PATH_CHARACTERS_MAX]


def _tell(request: web.BaseRequest, status: int, seconds: float, code: str) -> None:
    sent = request.writer.output_size
    spent = Spent(seconds, request.get(OWN_SECONDS, seconds), request.content.total_bytes, sent)
    through, how = route(request), method(request)
    requests.ended(through, how, status, code, spent)
    if log.isEnabledFor(logging.INFO):
        where = path(request)
        fields: dict[str, object] = {
            "client": str(request.get(CLIENT_IP, NOTHING)),
            "method": how,
            "path": where,
            "route": through,
            "status": status,
            "bytes": sent,
            "seconds": round(seconds, 6),
            **_more(request, code),
        }
        log.info("%s %s %d", how, where, status, extra={"fields": fields})


def _more(request: web.BaseRequest, code: str) -> dict[str, object]:
    fields: dict[str, object] = {}
    if code != NOTHING:
        fields["code"] = code
    if KEY in request:
        fields |= {"account": request[KEY].account, "key": request[KEY].id}
    elif VISITOR in request:
        fields["account"] = request[VISITOR].account
    return fields
