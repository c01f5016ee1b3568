"""The fields of answers that the gateway adds, and which of them come with what."""

from collections.abc import Iterable, Mapping
from typing import Any

_ALWAYS = ".always"

_COUNT = {"type": "integer", "minimum": 0}
_CREDITS = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,6})?$"}
_TEXT = {"type": "string"}

_KNOWN: dict[str, tuple[dict[str, Any], str]] = {
    "X-Request-ID": (
        {"type": "string", "format": "uuid"},
        "The number of this call; it is also the id of its charge.",
    ),
    "X-Credits-Charged": (_CREDITS, "What this call cost, in credits, as decimal text."),
    "X-Credits-Remaining": (_CREDITS, "What the account has available after it."),
    "RateLimit": (_TEXT, "How many calls are left (`r`), and the seconds until there are more (`t`)."),
    "RateLimit-Policy": (_TEXT, "The rule that counts this call: `q` calls in `w` seconds."),
    "X-RateLimit-Limit": (_COUNT, "How many calls may be made at once."),
    "X-RateLimit-Remaining": (_COUNT, "How many calls are left."),
    "X-RateLimit-Reset": (_COUNT, "The seconds until there are more."),
    "Retry-After": (_COUNT, "The seconds to wait before the call is made again."),
    "Server-Timing": (_TEXT, "How long gateway and worker took, in milliseconds."),
    "WWW-Authenticate": (_TEXT, "How to say who you are."),
    "Accept": (_TEXT, "The types of body that are taken."),
}

COMPONENTS: dict[str, dict[str, Any]] = {
    name + suffix: {"description": text, **required, "schema": schema}
    for name, (schema, text) in _KNOWN.items()
    for suffix, required in (("", {}), (_ALWAYS, {"required": True}))
}
"""Each field twice: as one that may come, and as one that does."""

_ALWAYS_WITH = {"401": "WWW-Authenticate", "429": "Retry-After"}
_PERHAPS_WITH = {"415": "Accept", "503": "Retry-After"}


def of_answer(status: str, added: Iterable[str], *, is_proxied: bool) -> dict[str, Any]:
    """What comes with each answer that the chain has let through; `added` is what its links put there."""
    return _told(["X-Request-ID", *added, *(["Server-Timing"] if is_proxied else [])], _of(status, _PERHAPS_WITH))


def of_problem(status: str, added: Iterable[str]) -> dict[str, Any]:
    """What comes with a problem: some are met before a link has put its fields there."""
    return _told(["X-Request-ID", *_of(status, _ALWAYS_WITH)], [*_of(status, _PERHAPS_WITH), *added])


def _of(status: str, names: Mapping[str, str]) -> list[str]:
    return [names[status]] if status in names else []


def _told(always: Iterable[str], perhaps: Iterable[str]) -> dict[str, Any]:
    sure = {name: _header(name, is_sure=True) for name in always}
    return sure | {name: _header(name, is_sure=False) for name in perhaps if name not in sure}


def _header(name: str, *, is_sure: bool) -> dict[str, Any]:
    """Of a field that is not ours nothing is known but its name."""
    if name not in _KNOWN:
        return {"required": is_sure, "schema": _TEXT}
    return {"$ref": f"#/components/headers/{name}{_ALWAYS if is_sure else ''}"}
