"""A route: what is served where, at which price; and the table that finds it for a canonical path."""

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from nijika.about import NOTHING_SAID, About
from nijika.errors import MethodNotAllowed, NotFound, Problem

Who = Literal["anyone", "visitor", "user", "moderator", "admin"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

Renderer = Callable[[web.Request, Problem], web.Response]

ANYWHERE = "*"
"""The path of what stands for a route where there is none: a free one that refuses, so that the links count it."""

BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})

_SEGMENT = re.compile(r"[A-Za-z0-9._~!$&'()+,;=:@%-]+|\{[a-z_]+\}")


@dataclass(frozen=True)
class Price:
    """What a call costs, in micro-credits: `hold` is set aside before the work begins.

    `capture` names the field of the worker's answer that reports the cost; None captures the whole hold.
    """

    hold: int
    capture: str | None = None


FREE = Price(0)


@dataclass(frozen=True)
class Route:
    """One place where something is served. `price` has no default: to forget it is a TypeError.

    `path` is canonical; a segment `{name}` stands for any one segment, a last segment `*` for all the rest.
    `body_bytes_max` bounds the request's body. A priced route always needs a key.
    `who` is for browsers: "visitor" may be signed in or not, the others are signed in with at least that role; for
    "anyone" no session is looked for.
    `continues` tells that the handler itself says 100 Continue, when it first reads the body. `on_disconnect` is for
    priced calls whose caller has left: the work is paid for and finished, or cancelled and refunded.
    `about` is what the reference tells of it; it is for programs, so None, or another `who`, leaves the route out.
    `renders` tells of problems in the form of somebody else's contract, whichever link met them.
    """

    methods: tuple[str, ...]
    path: str
    handler: Handler
    price: Price
    needs_key: bool = False
    who: Who = "anyone"
    body_bytes_max: int = 1_048_576
    content_types: tuple[str, ...] = ()
    upstream: str | None = None
    target: str | None = None
    continues: bool = False
    on_disconnect: Literal["finish", "cancel"] = "finish"
    about: About | None = NOTHING_SAID
    renders: Renderer | None = None

    def __post_init__(self) -> None:
        """Somebody must pay."""
        if self.price != FREE:
            object.__setattr__(self, "needs_key", True)

    @property
    def methods_served(self) -> tuple[str, ...]:
        """A GET of our own is a HEAD too; a proxied one is only what its table says."""
        if "GET" in self.methods and "HEAD" not in self.methods and self.upstream is None:
            return (*self.methods, "HEAD")
        return self.methods

    @property
    def takes_body(self) -> bool:
        """Whether one of its methods has a body by nature (RFC 9110, 9.3)."""
        return not BODY_METHODS.isdisjoint(self.methods)

    @property
    def name(self) -> str:
        """What ledger, scopes and reports call this route: its path."""
        return self.path


@dataclass(frozen=True)
class Match:
    """The route that a request takes, and what stands in the place of its `{name}` and `*` segments."""

    route: Route
    variables: dict[str, str]


class Routes:
    """All routes; the most specific pattern wins, and a plain segment is more specific than `{name}` than `*`."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._plain: dict[str, dict[str, Route]] = {}
        self._patterns: dict[str, dict[str, Route]] = {}
        for route in routes:
            table = self._patterns if _is_pattern(route.path) else self._plain
            for method in route.methods_served:
                if table.setdefault(route.path, {}).setdefault(method, route) is not route:
                    raise ValueError(f"{method} {route.path} is served twice")
        ordered = sorted(self._patterns, key=_specificity)
        self._compiled = [(re.compile(_regex(path)), self._patterns[path]) for path in ordered]

    def __iter__(self) -> Iterator[Route]:
        """Each route once, in the order of its path."""
        tables = [*self._plain.values(), *self._patterns.values()]
        routes = {id(route): route for table in tables for route in table.values()}
        return iter(sorted(routes.values(), key=lambda route: route.path))

    def match(self, method: str, path: str) -> Match:
        """The route for `method` on the canonical `path`; NotFound or MethodNotAllowed where there is none.

        The most specific path decides: a method that it lacks is not looked for behind a wider one, which may be free.
        """
        methods, variables = self._find(path)
        if method not in methods:
            raise MethodNotAllowed(method, list(methods))
        return Match(methods[method], variables)

    def _find(self, path: str) -> tuple[dict[str, Route], dict[str, str]]:
        if path in self._plain:
            return self._plain[path], {}
        for regex, methods in self._compiled:
            found = regex.fullmatch(path)
            if found is not None:
                return methods, found.groupdict()
        raise NotFound


def shape(path: str) -> str:
    """Two paths with one shape match the same requests; ValueError, a sentence, if `path` is no route's path."""
    segments = path.removeprefix("/").split("/")
    if not path.startswith("/"):
        raise ValueError('a path begins with "/"')
    if path == "/":
        return path
    if segments[-1] == "*":
        segments.pop()
    for segment in segments:
        if segment in {".", ".."} or _SEGMENT.fullmatch(segment) is None:
            raise ValueError(
                f'"{segment}" cannot be a segment of a path; "{{name}}" stands for one, a last "*" for all'
            )
    names = [segment for segment in segments if segment.startswith("{")]
    if len(set(names)) < len(names) or "{rest}" in names:
        raise ValueError('each "{name}" stands once in a path, and "{rest}" is taken by the last "*"')
    return re.sub(r"\{[a-z_]+\}", "{}", path)


def reaches(prefix: str, path: str) -> bool:
    """Whether some path that a route's `path` stands for lies below `prefix`, written without its last slash."""
    pattern = path.split("/")
    for place, segment in enumerate(prefix.split("/")):
        if place == len(pattern):
            return False
        if pattern[place] == "*":
            return True
        if pattern[place] != segment and not pattern[place].startswith("{"):
            return False
    return True


def _is_pattern(path: str) -> bool:
    return "{" in path or path.endswith("/*")


def _specificity(path: str) -> list[int]:
    return [{"*": 2, "{": 1}.get(segment[:1], 0) for segment in path.split("/")]


def _regex(path: str) -> str:
    rest = path.endswith("/*")
    plain = "".join(
        f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") else re.escape(part)
        for part in re.split(r"(\{[a-z_]+\})", path.removesuffix("*"))
    )
    return plain + "(?P<rest>.+)" if rest else plain
