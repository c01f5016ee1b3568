"""The document as a page for people, with examples that carry the reader's own key."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from nijika.pages import offer, own_key
from nijika.pages.own_key import NO_KEY, OwnKeys
from nijika.pages.render import page
from nijika.plugins.openapi.snippets import Snippet, call, snippets


@dataclass(frozen=True)
class Entry:
    """One operation as the page shows it."""

    method: str
    path: str
    operation: dict[str, Any]
    snippets: list[Snippet]

    @property
    def anchor(self) -> str:
        """Where on the page it stands."""
        return str(self.operation["operationId"])


@dataclass(frozen=True)
class Member:
    """A member of a JSON object; the name tells where it stands, as in `usage[].calls.held`."""

    name: str
    kind: str
    description: str


async def reference(request: web.Request, document: dict[str, Any], *, reveals: bool) -> web.Response:
    """The page; keys in its examples are masked, but where `reveals` asks for them."""
    owned = await own_key.of_visitor(request)
    entries = list(_entries(document, owned, reveals=reveals))
    first = next((entry for entry in entries if entry.operation["security"]), None)
    return page(
        request,
        "reference.html",
        document=document,
        groups=[
            (tag, [entry for entry in entries if entry.operation["tags"] == [tag["name"]]]) for tag in document["tags"]
        ],
        own=owned.allowed_on(first.operation["x-route"]) if first else None,
        reveals=reveals,
        size=offer.size,
        members=lambda schema: list(_members(document, schema)),
        resolved=lambda part: _resolved(document, part),
        kind=_kind,
    )


def _entries(document: dict[str, Any], owned: OwnKeys, *, reveals: bool) -> Iterator[Entry]:
    url = document["servers"][0]["url"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            key = owned.allowed_on(operation["x-route"])
            text = NO_KEY if key is None else key.text if reveals else key.masked
            example = call(operation, method.upper(), url, path, text if operation["security"] else "")
            yield Entry(method.upper(), path, operation, snippets(example))


def _members(document: dict[str, Any], schema: dict[str, Any], prefix: str = "") -> Iterator[Member]:
    """The members of an object and of what it holds."""
    for name, part in _resolved(document, schema).get("properties", {}).items():
        yield Member(prefix + name, _kind(part), part.get("description", ""))
        inner, suffix = part, "."
        while "items" in inner or isinstance(inner.get("additionalProperties"), dict):
            is_list = "items" in inner
            inner, suffix = (
                (inner["items"], f"[]{suffix}") if is_list else (inner["additionalProperties"], f".*{suffix}")
            )
        yield from _members(document, inner, f"{prefix}{name}{suffix}")


def _resolved(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """What a reference stands for."""
    while "$ref" in part:
        found: dict[str, Any] = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


_KINDS = {"string": "text", "integer": "whole number", "object": "object", "array": "list", "null": "null"}


def _kind(schema: dict[str, Any]) -> str:
    """The values of a schema, in a word or two."""
    if "anyOf" in schema:
        return " or ".join(_kind(choice) for choice in schema["anyOf"])
    if "const" in schema:
        return f"“{schema['const']}”"
    if "enum" in schema:
        return " or ".join(f"“{value}”" for value in schema["enum"])
    return str(schema.get("format") or _KINDS.get(schema.get("type", ""), "object"))
