"""Not too fast: each rule limits the calls below one prefix, by address or by key.

Source: draft-ietf-httpapi-ratelimit-headers (RateLimit, RateLimit-Policy); X-RateLimit-* by custom.
"""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

from aiohttp import web
from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, PrivateAttr, model_validator

from nijika.errors import BadPath, Problem, TooManyRequests
from nijika.limits.gcra import Decision, Memory, Rate
from nijika.module import Handler, Middleware, Route, Settings
from nijika.proxy.path import canonical
from nijika.state import CLIENT_IP, KEY, LIMIT_FIELDS, PATH

_RATE = re.compile(r"([1-9][0-9]{0,8})/(s|m|h|d)", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_IPV6_HOST_BITS = 64


class PerTime(NamedTuple):
    """So many `calls` in so many `seconds`."""

    calls: int
    seconds: int


def per_time(value: object) -> PerTime:
    """Read "5/s", "100/m", "1000/h" or "10000/d"."""
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('a rate is a number of calls by s, m, h or d, such as "5/s"')
    return PerTime(int(match[1]), _UNITS[match[2]])


def _prefix(text: str) -> str:
    try:
        is_canonical = canonical(text).path == text
    except BadPath:
        is_canonical = False
    if not is_canonical:
        raise ValueError('a prefix begins with "/" and is written without needless escapes, such as "/api/"')
    return text


class Rule(Settings):
    """`limit` calls in the long run, `burst` at once (default: as many as `limit` counts), below `prefix`."""

    prefix: Annotated[str, AfterValidator(_prefix)]
    limit: Annotated[PerTime, BeforeValidator(per_time)]
    burst: PositiveInt | None = None
    per: Literal["address", "key"] = "address"

    @property
    def rate(self) -> Rate:
        """The rule as the limiter takes it."""
        return Rate(self.limit.calls, self.limit.seconds, self.burst or self.limit.calls)

    @property
    def path(self) -> str:
        """The prefix without its last slash: prefixes match whole segments."""
        return self.prefix.rstrip("/")


class RateLimit(Middleware):
    """The rule with the longest matching prefix counts the call; `entries_max` callers are known to each rule.

    It may stand in the chain twice: before `api_key` by address, and behind it by key.
    """

    use: str = "rate_limit"
    store: Literal["memory"] = "memory"
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    entries_max: PositiveInt = 65_536

    after: ClassVar[tuple[str, ...]] = ("real_ip",)
    _tables: dict[str, tuple[Rule, Memory]] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _index(self) -> Self:
        for rule in self.rules:
            if rule.path in self._tables:
                raise ValueError(f'two rules for the prefix "{rule.prefix}"')
            self._tables[rule.path] = rule, Memory(rule.rate, entries_max=self.entries_max)
        return self

    def prerequisites(self) -> tuple[str, ...]:
        """To count by key, the key must be known."""
        return ("api_key",) if any(rule.per == "key" for rule in self.rules) else ()

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Pass the call on, or refuse it with TooManyRequests and the time to wait."""
        found = self.find(request[PATH])
        if found is None:
            return await handler(request)
        rule, memory = found
        decision = memory.take(_caller(rule, request))
        request[LIMIT_FIELDS] = _fields(rule, decision)
        if not decision.passes:
            raise TooManyRequests(decision.retry_after)
        return await handler(request)

    def refuses(self, route: Route) -> tuple[type[Problem], ...]:
        """Where a rule counts."""
        return (TooManyRequests,) if self.find(route.path) else ()

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Tell the caller where it stands."""
        response.headers.update(request.get(LIMIT_FIELDS, {}))

    def find(self, path: str) -> tuple[Rule, Memory] | None:
        """The rule for a canonical path, and its table; None if no prefix matches."""
        path = path.rstrip("/")
        while True:
            found = self._tables.get(path)
            if found is not None or not path:
                return found
            path = path.rpartition("/")[0]


def bucket(address: IPv4Address | IPv6Address) -> str:
    """One household is one caller: an IPv4 address, or the /64 of an IPv6 address."""
    if isinstance(address, IPv6Address):
        return f"{IPv6Address(int(address) >> _IPV6_HOST_BITS << _IPV6_HOST_BITS)}/64"
    return str(address)


def _caller(rule: Rule, request: web.Request) -> str:
    if rule.per == "key" and KEY in request:
        return f"key {request[KEY].id}"
    return bucket(request[CLIENT_IP])


def _fields(rule: Rule, decision: Decision) -> dict[str, str]:
    rate = rule.rate
    return {
        "RateLimit-Policy": f'"{rule.prefix}";q={rate.burst};w={rate.window}',
        "RateLimit": f'"{rule.prefix}";r={decision.remaining};t={decision.reset}',
        "X-RateLimit-Limit": str(rate.burst),
        "X-RateLimit-Remaining": str(decision.remaining),
        "X-RateLimit-Reset": str(decision.reset),
    }
