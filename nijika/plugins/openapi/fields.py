"""The fields of answers that the gateway adds, and which of them come with what."""

from collections.abc import Iterable
from typing import Any

from nijika.errors import Problem, TooManyRequests
from nijika.module import FREE, Route

LIMITS = ("RateLimit", "RateLimit-Policy", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
CREDITS = ("X-Credits-Charged", "X-Credits-Remaining")

_TEXTS = {
    "X-Request-ID": "The number of this call; it is also the id of its charge.",
    "X-Credits-Charged": "What this call cost, in credits, as decimal text.",
    "X-Credits-Remaining": "What the account has available after it.",
    "RateLimit": "How many calls are left (`r`), and the seconds until there are more (`t`).",
    "RateLimit-Policy": "The rule that counts this call: `q` calls in `w` seconds.",
    "X-RateLimit-Limit": "How many calls may be made at once.",
    "X-RateLimit-Remaining": "How many calls are left.",
    "X-RateLimit-Reset": "The seconds until there are more.",
    "Retry-After": "The seconds to wait before the call is made again.",
    "Server-Timing": "How long gateway and worker took, in milliseconds.",
    "WWW-Authenticate": "How to say who you are.",
}
_NUMBERS = {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After"}

COMPONENTS: dict[str, dict[str, Any]] = {
    name: {"description": text, "schema": {"type": "integer" if name in _NUMBERS else "string"}}
    for name, text in _TEXTS.items()
}


def of_success(route: Route, problems: Iterable[type[Problem]]) -> dict[str, Any]:
    """What comes with an answer of this route; only a route that may be limited tells of its limits."""
    names = ["X-Request-ID"]
    names += CREDITS if route.price != FREE else ()
    names += LIMITS if TooManyRequests in problems else ()
    names += ["Server-Timing"] if route.upstream is not None else ()
    return _referred(names)


def of_problem(status: int) -> dict[str, Any]:
    """What comes with a problem."""
    more = {401: ("WWW-Authenticate",), 429: ("Retry-After", *LIMITS), 503: ("Retry-After",)}
    return _referred(["X-Request-ID", *more.get(status, ())])


def _referred(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
