"""The document as a whole. Source: OpenAPI 3.1.1 (spec.openapis.org/oas/v3.1.1)."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from nijika.about import About
from nijika.errors import Problem
from nijika.module import FREE, Route
from nijika.plugins.openapi import fields
from nijika.plugins.openapi.operation import Described, operation, template
from nijika.plugins.openapi.problems import PROBLEM, REFUSAL
from nijika.route import shape

CALLS, ACCOUNT, SERVICE = "Calls", "Your account", "The gateway"
TAGS = {
    CALLS: "What is sold here, each call at its own price.",
    ACCOUNT: "What your key can ask about the account that it belongs to.",
    SERVICE: "How the gateway does; no key is needed.",
}

_MODE: JsonSchemaMode = "serialization"


class Chain(NamedTuple):
    """What the links of the chain say of a route: what they may answer in its place, and what they put on answers."""

    refuses: Callable[[Route], list[type[Problem]]]
    adds: Callable[[Route], list[str]]


def document(routes: Iterable[Route], chain: Chain, *, url: str, title: str, version: str) -> dict[str, Any]:
    """The document of all routes that programs call."""
    listed = [(route, route.about) for route in routes if route.who == "anyone" and route.about is not None]
    told = {model for _, about in listed for model in (about.asks, about.answer) if model is not None}
    references, schemas = _schemas(told)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": PREFACE},
        "servers": [{"url": url}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": _paths(listed, chain, references),
        "components": {
            "securitySchemes": SECURITY_SCHEMES,
            "parameters": {"IdempotencyKey": IDEMPOTENCY_KEY},
            "headers": fields.COMPONENTS,
            "schemas": {**schemas, "Problem": PROBLEM, "Refusal": REFUSAL},
        },
    }


def _paths(
    listed: list[tuple[Route, About]], chain: Chain, references: dict[type[BaseModel], dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Two paths that differ only in the names of their variables are one path here."""
    paths: dict[str, dict[str, Any]] = {}
    spellings: dict[str, str] = {}
    ids: set[str] = set()
    for route, about in listed:
        path = spellings.setdefault(shape(route.path), template(route.path))
        asks, answer = (references[model] if model else None for model in (about.asks, about.answer))
        may_go_wrong = [*chain.refuses(route), *about.problems]
        described = Described(route, about, path, asks, answer, may_go_wrong, chain.adds(route))
        for method in route.methods:
            made = operation(described, method, tag=_tag(route))
            made["operationId"] = _unique(made["operationId"], ids)
            paths.setdefault(path, {})[method.lower()] = made
    return paths


def _tag(route: Route) -> str:
    if route.upstream is not None or route.price != FREE:
        return CALLS
    return ACCOUNT if route.needs_key else SERVICE


def _unique(id: str, taken: set[str]) -> str:
    count, name = 1, id
    while name in taken:
        count += 1
        name = f"{id}_{count}"
    taken.add(name)
    return name


def _schemas(models: set[type[BaseModel]]) -> tuple[dict[type[BaseModel], dict[str, Any]], dict[str, Any]]:
    """How each model is referred to, and what is referred to."""
    ordered = sorted(models, key=lambda model: model.__name__)
    if not ordered:
        return {}, {}
    found, whole = models_json_schema(
        [(model, _MODE) for model in ordered], ref_template="#/components/schemas/{model}"
    )
    return {model: found[model, _MODE] for model in ordered}, whole["$defs"]


PREFACE = (
    "Send your key with each call, in the field `X-API-Key` or as `Authorization: Bearer`.\n\n"
    "The price of a call is held before the work begins. It is captured when the work is done, and given back if "
    "anything fails: a call that fails costs nothing. `X-Credits-Charged` tells what a call cost, "
    "`X-Credits-Remaining` what is left.\n\n"
    "Whatever goes wrong is told in one form, `application/problem+json` (RFC 9457): `code` is for programs, "
    "`detail` for people, and `request_id` is what the operator asks for. A browser, which asks for `text/html`, is "
    "shown a page with the same status in its place."
)

SECURITY_SCHEMES: dict[str, dict[str, Any]] = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
}

IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A text of your own. Calls with the same one are attempts at one call, which is paid for once, "
    "for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
}
