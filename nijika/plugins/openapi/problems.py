"""The answers of a route that are problems, by status, each with the codes that it can have there."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from nijika.errors import Problem
from nijika.plugins.openapi import fields

MEDIA_TYPE = "application/problem+json"
PAGE = {"text/html": {"schema": {"type": "string"}}}
"""What a browser is shown in place of a problem."""

ANY: dict[str, Any] = {"*/*": {"schema": {}}}

# What a worker answers with these is never passed on; the gateway itself does.
_OURS_ALONE = {HTTPStatus.UNAUTHORIZED, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, HTTPStatus.TOO_MANY_REQUESTS}


def responses(
    kinds: Iterable[type[Problem]],
    *,
    added: Sequence[str],
    refusal: Mapping[str, Any] | None = None,
    is_ours: bool = True,
) -> dict[str, Any]:
    """One response for each status; `added` are the fields of the chain's links, which some problems come with.

    `refusal` is the content of what the worker itself may answer with any 4xx. Unless `is_ours`, problems are told in
    the words of another contract.
    """
    by_status: dict[int, list[type[Problem]]] = {}
    for kind in dict.fromkeys(kinds):
        by_status.setdefault(kind.status, []).append(kind)
    made = {}
    for status in sorted(by_status):
        passed_on = refusal if 400 <= status < 500 and status not in _OURS_ALONE else None  # noqa: PLR2004 (4xx)
        content = _content(status, by_status[status], passed_on) if is_ours else ANY
        more = ["Server-Timing"] if passed_on is not None else []
        made[str(status)] = {
            "description": " ".join(f"{kind.title} (`{kind.code}`)." for kind in by_status[status]),
            "headers": fields.of_problem(str(status), [*added, *more]),
            "content": content,
            "x-problems": [_told(kind) for kind in by_status[status]],
        }
    return made if refusal is None else made | {"4XX": _passed_on(refusal, added)}


def _content(status: int, kinds: list[type[Problem]], refusal: Mapping[str, Any] | None) -> dict[str, Any]:
    """Of problems with one status; a worker's refusal may come in the same media type."""
    ours: dict[str, Any] = {
        "$ref": "#/components/schemas/Problem",
        "properties": {"status": {"const": status}, "code": {"enum": [kind.code for kind in kinds]}},
    }
    if refusal is None:
        return {MEDIA_TYPE: {"schema": ours}, **PAGE}
    theirs = refusal[MEDIA_TYPE if MEDIA_TYPE in refusal else "*/*"]["schema"]
    content = {MEDIA_TYPE: {"schema": {"anyOf": [ours, theirs]}}, **PAGE}
    return content | {kind: told for kind, told in refusal.items() if kind not in content}


def _passed_on(content: Mapping[str, Any], added: Sequence[str]) -> dict[str, Any]:
    return {
        "description": "The worker does not accept what was sent; its answer is passed on. Nothing is charged.",
        "headers": fields.of_answer("4XX", added, is_proxied=True),
        "content": content,
    }


def _told(kind: type[Problem]) -> dict[str, str]:
    return {"code": kind.code, "title": kind.title, "detail": _detail(kind)}


def _detail(kind: type[Problem]) -> str:
    """Its sentence; of one that is written for each case, what it is about."""
    if kind is Problem or kind.detail != Problem.detail:
        return kind.detail
    return (kind.__doc__ or "").strip().partition("\n")[0]


PROBLEM: dict[str, Any] = {
    "description": "What went wrong (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "`urn:nijika:problem:` and the code."},
        "title": {"type": "string", "description": "What went wrong, in short."},
        "status": {"type": "integer", "description": "The status of the answer."},
        "detail": {"type": "string", "description": "A sentence for a person: what it is about, and what to do."},
        "instance": {"type": "string", "format": "uri", "description": "`urn:uuid:` and the request's id."},
        "code": {"type": "string", "description": "What went wrong, for programs."},
        "request_id": {"type": "string", "format": "uuid", "description": "As in `X-Request-ID`."},
        "price": {"type": "string", "description": "With 402: what the call costs."},
        "balance": {"type": "string", "description": "With `insufficient-credits`: what the account has."},
        "period": {"enum": ["day", "month"], "description": "With `key-spend-cap`: for which the key is capped."},
        "cap": {"type": "string", "description": "With `key-spend-cap`: what the key may spend in it."},
        "used": {"type": "string", "description": "With `key-spend-cap`: what it has spent."},
        "charge": {"type": "string", "description": "With `idempotency-key-done`: the id of the first call's charge."},
        "bytes_max": {"type": "integer", "description": "With `body-too-large`: how many bytes are taken."},
        "available": {"type": "string", "description": "With `below-zero`: what the account has."},
    },
    "examples": [
        {
            "type": "urn:nijika:problem:insufficient-credits",
            "title": "Not enough credits",
            "status": 402,
            "detail": "This call costs 0.01 credits and the account has 0.",
            "instance": "urn:uuid:01a20827-a218-7632-9bd4-34db669ada06",
            "code": "insufficient-credits",
            "request_id": "01a20827-a218-7632-9bd4-34db669ada06",
            "price": "0.01",
            "balance": "0",
        }
    ],
}

REFUSAL: dict[str, Any] = {
    "description": "What the worker does not accept.",
    "type": "object",
    "required": ["title", "status", "detail", "code"],
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence for a person: what is wrong, and what to do."},
        "code": {"type": "string", "description": "What is wrong, for programs, such as `not-an-image`."},
    },
}
