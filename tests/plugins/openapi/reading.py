"""What the tests of the reference ask of the document."""

from collections.abc import Iterator
from typing import Any

from tests.gateway import Gateway


async def document(gateway: Gateway) -> dict[str, Any]:
    async with gateway.session.get("/openapi.json") as answer:
        assert answer.content_type == "application/json"
        found: dict[str, Any] = await answer.json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def name(reference: dict[str, str]) -> str:
    """Of the component that is referred to."""
    return reference["$ref"].rpartition("/")[2]


def codes(operation: dict[str, Any]) -> dict[str, set[str]]:
    """The codes of problems by status."""
    responses = operation["responses"].items()
    return {
        status: {told["code"] for told in found["x-problems"]} for status, found in responses if "x-problems" in found
    }
