"""One method of one route: what goes in, what comes out, and what it costs."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from aiohttp import hdrs

from nijika import credits
from nijika.about import About, Parameter
from nijika.errors import Problem
from nijika.module import FREE, Price, Route
from nijika.pages import offer
from nijika.plugins.openapi import fields, problems
from nijika.plugins.openapi.problems import ANY
from nijika.route import BODY_METHODS

BODYLESS = {"204": "It is done, and there is nothing to tell.", "304": "Nothing has changed since the last answer."}

# What a path may hold (proxy/path.py), before it is escaped.
_SEGMENT = r"(?!\.{1,2}(?:/|$))[^\u0000-\u001f\u007f/\\;]+"
SEGMENT = {"type": "string", "pattern": f"^{_SEGMENT}$"}
REST = Parameter(
    "rest",
    "The rest of the path; it may hold slashes, which stand there plainly.",
    {"type": "string", "pattern": f"^{_SEGMENT}(?:/{_SEGMENT})*/?$"},
)


PICTURE: dict[str, Any] = {
    "image/*": {"schema": {}},
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["image"],
            "properties": {
                "image": {
                    "description": "The picture.",
                    "type": "string",
                    "contentMediaType": "application/octet-stream",
                    "minLength": 1,
                }
            },
        }
    },
    "application/json": {
        "schema": {
            "type": "object",
            "required": ["url"],
            "properties": {
                "url": {"description": "Where the worker finds the picture.", "type": "string", "format": "uri"}
            },
        }
    },
}
"""How nijika's own worker takes a picture; options may stand in the query (docs/worker.md)."""


@dataclass(frozen=True)
class Described:
    """A route with all that is known of it; `asks` and `answer` refer to the schemas of what is JSON of both bodies.

    `problems` are its own and those of the chain, `added` the fields that the chain puts on its answers.
    """

    route: Route
    about: About
    path: str
    asks: dict[str, Any] | None
    answer: dict[str, Any] | None
    problems: list[type[Problem]]
    added: list[str]


def template(path: str) -> str:
    """A route's path as OpenAPI writes it: a last `*` has a name, too."""
    return f"{path.removesuffix('*')}{{{REST.name}}}" if path.endswith("/*") else path


def operation(it: Described, method: str, *, tag: str) -> dict[str, Any]:
    """The operation object of a route's method."""
    route = it.route
    made: dict[str, Any] = {
        "tags": [tag],
        "operationId": re.sub(r"[^a-z0-9]+", "_", f"{method}{it.path}".lower()).strip("_"),
        "summary": it.about.summary or _docstring(route.handler) or f"{method} {it.path}",
        "description": _description(it),
        "security": [{"ApiKey": []}, {"Bearer": []}] if route.needs_key else [],
        "parameters": _parameters(it),
        "responses": _responses(it, method),
        "x-price": price(route.price),
        "x-route": route.name,
    }
    if method in BODY_METHODS:
        made["requestBody"] = {"required": True, "content": body(it)}
        made["x-body-bytes-max"] = route.body_bytes_max
    return made


def price(price: Price) -> dict[str, Any]:
    """What a call costs, for programs and in words."""
    return {"credits": credits.show(price.hold), "metered": price.capture is not None, "text": offer.price(price)}


def body(it: Described) -> dict[str, Any]:
    """What may be sent, by media type."""
    kinds = it.route.content_types
    if it.asks is not None:
        return {kind: {"schema": it.asks} for kind in kinds}
    if it.route.target not in offer.PICTURES:
        return {kind: {"schema": {}} for kind in kinds} or ANY
    taken = {kind: media for kind, media in PICTURE.items() if any(fnmatchcase(kind, accepted) for accepted in kinds)}
    return taken or ({kind: {"schema": {}} for kind in kinds} if kinds else PICTURE)


def _format(formats: tuple[str, ...]) -> dict[str, Any]:
    return {"type": "string", "enum": list(formats), "default": formats[0]}


def _description(it: Described) -> str:
    if it.route.price == FREE:
        cost = "This call is free."
    elif it.route.price.capture is None:
        cost = f"A success costs {offer.price(it.route.price)}; a call that fails costs nothing."
    else:
        cost = f"A success costs {offer.price(it.route.price)}: as much is held, and what was not used is given back."
    return f"{it.about.description}\n\n{cost}".strip()


def _parameters(it: Described) -> list[dict[str, Any]]:
    known = {parameter.name: parameter for parameter in (*it.about.parameters, REST)}
    names = re.findall(r"\{([a-z_]+)\}", it.path)
    in_path = [known.get(name, Parameter(name, "", SEGMENT)) for name in names]
    in_query = [parameter for parameter in it.about.parameters if parameter.name not in names]
    formats = offer.PICTURES.get(it.route.target or "", ())
    if len(formats) > 1:
        in_query.append(Parameter("format", "The format of the answer.", _format(formats)))
    return [
        *(_parameter(parameter, "path") for parameter in in_path),
        *(_parameter(parameter, "query") for parameter in in_query),
        *([{"$ref": "#/components/parameters/IdempotencyKey"}] if it.route.price != FREE else []),
    ]


def _parameter(parameter: Parameter, where: str) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": where,
        "required": where == "path",
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


def _responses(it: Described, method: str) -> dict[str, Any]:
    """A status of success that a problem has, too, is told as the success."""
    successes = {status: _success(it, status) for status in _statuses(it, method)}
    refusals = problems.responses(
        it.problems, added=it.added, refusal=_refusal(it.route), is_ours=it.route.renders is None
    )
    found = {**successes, **{status: refusal for status, refusal in refusals.items() if status not in successes}}
    return _bare(found) if method == hdrs.METH_HEAD else found


def _bare(responses: dict[str, Any]) -> dict[str, Any]:
    """The heads alone."""
    return {
        status: {k: told for k, told in response.items() if k != "content"} for status, response in responses.items()
    }


def _refusal(route: Route) -> dict[str, Any] | None:
    if route.upstream is None:
        return None
    if route.target in offer.PICTURES:
        return {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    return ANY


def _statuses(it: Described, method: str) -> list[str]:
    """Those of a success; who answers any bytes may have none, and a worker may answer a condition by 304."""
    if it.answer is not None:
        return [str(status) for status in it.about.statuses]
    if it.route.target in offer.PICTURES:
        return ["200"]
    is_conditional = it.route.upstream is not None and method in {hdrs.METH_GET, hdrs.METH_HEAD}
    return ["2XX", *BODYLESS] if is_conditional else ["2XX", "204"]


def _success(it: Described, status: str) -> dict[str, Any]:
    headers = fields.of_answer(status, it.added, is_proxied=it.route.upstream is not None)
    if status in BODYLESS:
        return {"description": BODYLESS[status], "headers": headers}
    return {"description": "The answer.", "headers": headers, "content": _content(it)}


def _content(it: Described) -> dict[str, Any]:
    if it.answer is not None:
        return {"application/json": {"schema": it.answer}}
    formats = offer.PICTURES.get(it.route.target or "")
    return ANY if formats is None else {f"image/{name}": {"schema": {}} for name in formats}


def _docstring(handler: Callable[..., Any]) -> str:
    """The first line of what a handler says of itself."""
    while isinstance(handler, partial):
        handler = handler.func
    return (inspect.getdoc(handler) or "").partition("\n")[0].rstrip(".")
