"""The second link: turns whatever goes wrong inside of it into one form of answer (RFC 9457).

Browsers get a page in its place, with the same status and the same sentence.
"""

import json
import logging
from uuid import UUID

from aiohttp import hdrs, web

from nijika.errors import MethodNotAllowed, NotFound, Problem
from nijika.module import Handler, Middleware, Route
from nijika.pages.render import problem as page
from nijika.pages.render import wants_page
from nijika.proxy.connection import cut
from nijika.proxy.inbound import INVITED
from nijika.route import ANYWHERE, Renderer
from nijika.state import CODE, MATCH, PATH, REQUEST_ID, ROUTES, STANDING

log = logging.getLogger("nijika")


class Problems(Middleware):
    """Always second; it needs no table in config.toml."""

    use: str = "problems"

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The handler's answer, or the problem it met; an answer that was begun and cannot be ended is cut off."""
        try:
            return await handler(request)
        except Problem as error:
            problem = error
        except web.HTTPException as error:
            if error.status < web.HTTPBadRequest.status_code and request.writer.output_size == 0:
                raise  # a redirect is no problem
            problem = _translated(error)
        except Exception:
            log.exception("a request failed")
            problem = Problem()
        request[CODE] = problem.code
        if request.writer.output_size > 0:
            cut(request)
        return _told(request, problem)

    def refuses(self, route: Route) -> tuple[type[Problem], ...]:  # noqa: ARG002 (no route is free of mistakes)
        """What nobody foresaw."""
        return (Problem,)

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Every answer names its request, and none the versions that made it."""
        response.headers["X-Request-ID"] = str(request[REQUEST_ID])
        response.headers["Server"] = "nijika"
        # Whether a body that was not invited comes is the caller's choice; only a new connection begins in step.
        is_out_of_step = hdrs.EXPECT in request.headers and INVITED not in request
        if is_out_of_step or request.app[STANDING].retires:
            response.headers[hdrs.CONNECTION] = "close"
            response.force_close()


def _told(request: web.Request, problem: Problem) -> web.Response:
    """The problem as a page for browsers, or in the words of the contract that the route keeps, or else in our own."""
    renders = _renderer(request, problem)
    if renders is None:
        return page(request, problem) if wants_page(request) else render(problem, request[REQUEST_ID])
    response = renders(request, problem)
    if problem.closes:
        response.force_close()
    return response


def _renderer(request: web.Request, problem: Problem) -> Renderer | None:
    """What the route tells of problems with; a method that a path lacks is told of by the route of one that it has."""
    if MATCH not in request:
        return None
    route = request[MATCH].route
    if route.path == ANYWHERE and isinstance(problem, MethodNotAllowed):
        route = request.app[ROUTES].match(problem.headers[hdrs.ALLOW].partition(",")[0], request[PATH]).route
    return route.renders


def render(problem: Problem, id: UUID) -> web.Response:
    """The answer that tells of a problem."""
    body = {
        "type": f"urn:nijika:problem:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": str(problem),
        "instance": f"urn:uuid:{id}",
        "code": problem.code,
        "request_id": str(id),
        **problem.members,
    }
    response = web.Response(
        status=problem.status,
        body=json.dumps(body).encode() + b"\n",
        content_type="application/problem+json",
        headers={"Cache-Control": "no-store", **problem.headers},
    )
    if problem.closes:
        response.force_close()
    return response


def _translated(error: web.HTTPException) -> Problem:
    """A plugin may raise aiohttp's exceptions; callers still see one form."""
    if error.status == web.HTTPNotFound.status_code:
        return NotFound()
    kind = type("Raised", (Problem,), {"status": error.status, "code": "refused", "title": error.reason})
    headers = {name: value for name, value in error.headers.items() if not name.lower().startswith("content-")}
    problem: Problem = kind(error.text or error.reason, headers=headers)
    return problem
