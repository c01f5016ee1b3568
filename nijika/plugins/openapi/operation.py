"""One method of one route: what goes in, what comes out, and what it costs."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from nijika import credits
from nijika.about import About, Parameter
from nijika.errors import Problem
from nijika.module import FREE, Price, Route
from nijika.pages import offer
from nijika.plugins.openapi import fields, problems
from nijika.route import BODY_METHODS

REST = Parameter("rest", "The rest of the path; it may hold slashes.", {"type": "string"})
ANY: dict[str, Any] = {"*/*": {"schema": {}}}


@dataclass(frozen=True)
class Described:
    """A route with all that is known of it; `asks` and `answer` refer to the schemas of what is JSON of both bodies."""

    route: Route
    about: About
    path: str
    asks: dict[str, Any] | None
    answer: dict[str, Any] | None
    problems: list[type[Problem]]


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
        "responses": _responses(it),
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
    formats = offer.PICTURES.get(it.route.target or "")
    if it.asks is not None:
        return {kind: {"schema": it.asks} for kind in kinds}
    if formats is None:
        return {kind: {"schema": {}} for kind in kinds} or ANY
    pictures = _pictures(formats)
    taken = {kind: media for kind, media in pictures.items() if any(fnmatchcase(kind, accepted) for accepted in kinds)}
    return taken or ({kind: {"schema": {}} for kind in kinds} if kinds else pictures)


def _pictures(formats: tuple[str, ...]) -> dict[str, Any]:
    """How nijika's own worker takes a picture (docs/worker.md)."""
    image = {"description": "The picture.", "type": "string", "contentMediaType": "application/octet-stream"}
    url = {"description": "Where the worker finds the picture.", "type": "string", "format": "uri"}
    format = {"format": _format(formats)}  # noqa: A001 (the option's name)
    return {
        "image/*": {"schema": {}},
        "multipart/form-data": {
            "schema": {"type": "object", "required": ["image"], "properties": {"image": image, **format}}
        },
        "application/json": {"schema": {"type": "object", "required": ["url"], "properties": {"url": url, **format}}},
    }


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
    in_path = [known.get(name, Parameter(name, "", {"type": "string"})) for name in names]
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


def _responses(it: Described) -> dict[str, Any]:
    """A status of success that a problem has, too, is told as the success."""
    successes = _successes(it)
    refusals = problems.responses(it.problems, refusal=_refusal(it.route))
    return {**successes, **{status: refusal for status, refusal in refusals.items() if status not in successes}}


def _refusal(route: Route) -> dict[str, Any] | None:
    if route.upstream is None:
        return None
    if route.target in offer.PICTURES:
        return {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    return ANY


def _successes(it: Described) -> dict[str, Any]:
    formats = offer.PICTURES.get(it.route.target or "")
    headers = fields.of_success(it.route, it.problems)
    if it.answer is not None:
        content = {"application/json": {"schema": it.answer}}
        return {str(status): _success(content, headers) for status in it.about.statuses}
    if formats is None:
        return {"2XX": _success(ANY, headers)}
    return {"200": _success({f"image/{name}": {"schema": {}} for name in formats}, headers)}


def _success(content: dict[str, Any], headers: dict[str, Any]) -> dict[str, Any]:
    return {"description": "The answer.", "headers": headers, "content": content}


def _docstring(handler: Callable[..., Any]) -> str:
    """The first line of what a handler says of itself."""
    while isinstance(handler, partial):
        handler = handler.func
    return (inspect.getdoc(handler) or "").partition("\n")[0].rstrip(".")
