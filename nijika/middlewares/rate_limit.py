"""Not too fast, and not too much at once: each rule limits the calls below one prefix, by address, key or account.

Source: draft-ietf-httpapi-ratelimit-headers (RateLimit, RateLimit-Policy); X-RateLimit-* by custom.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self, TypeVar

from aiohttp import web
from pydantic import AfterValidator, Field, PositiveInt, PrivateAttr, model_validator

from nijika.errors import BadPath, LimiterUnavailable, Problem, TooManyRequests
from nijika.limits.caller import bucket
from nijika.limits.flights import Flights
from nijika.limits.gcra import Decision, Memory, Rate
from nijika.limits.settings import MEMORY, PerTimeSetting, Store
from nijika.limits.shared import CAPACITY_DAYS_MAX, Shared
from nijika.metrics.limits import ENTRIES, REFUSALS
from nijika.module import Handler, Middleware, Route, Settings
from nijika.proxy.path import canonical
from nijika.route import reaches
from nijika.state import CLIENT_IP, GAUGED, KEY, LIMIT_FIELDS, MATCH, PATH, REQUEST_ID, SHARED

FULL_SECONDS = 1  # when a call under way will end is not known

FIELDS = ("RateLimit-Policy", "RateLimit", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")

T = TypeVar("T")


def _prefix(text: str) -> str:
    try:
        is_canonical = canonical(text).path == text
    except BadPath:
        is_canonical = False
    if not is_canonical:
        raise ValueError('a prefix begins with "/" and is written without needless escapes, such as "/api/"')
    return text


class Rule(Settings):
    """What one caller may do below one prefix: a rate, a number of calls under way, or both."""

    prefix: Annotated[str, AfterValidator(_prefix), Field(title="path")]
    """The path below which it counts, by whole segments; `/` is everything that no longer prefix matches."""
    limit: PerTimeSetting | None = None
    """How many calls may pass in the long run."""
    burst: PositiveInt | None = None
    """How many may come at once; left out: as many as `limit` counts. More for pages that load much at a time."""
    concurrency: PositiveInt | None = None
    """How many calls of one caller may be under way, whatever their rate. For calls that take long."""
    per: Literal["address", "key", "account"] = "address"
    """Who is counted: the address (of IPv6 its /64), the key, or all keys of an account together. By key or account the
    link stands behind `api_key`.
    """

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.limit is None and self.concurrency is None:
            raise ValueError('a rule has a limit such as "5/s", a concurrency such as 4, or both')
        if self.limit is None and self.burst is not None:
            raise ValueError("burst is of use with a limit only")
        return self

    @cached_property
    def rate(self) -> Rate:
        """The rule's `limit` as the limiter takes it."""
        assert self.limit is not None, "a rule without limit counts calls under way only"
        return Rate(self.limit.calls, self.limit.seconds, self.burst or self.limit.calls)

    @cached_property
    def path(self) -> str:
        """The prefix without its last slash: prefixes match whole segments."""
        return self.prefix.rstrip("/")


class RateLimit(Middleware):
    """Not too fast, and not too much at once (limits.md).

    Of the rules whose prefix matches, the longest with a limit and the longest with a concurrency count the call. The
    link may stand in the chain twice: before `api_key` by address, and behind it by key or account.
    """

    use: str = "rate_limit"
    store: Store = MEMORY
    """Where it is counted: each process by itself, or all that have this rule together, in a Redis or Valkey such as
    `redis://127.0.0.1:6379/0`. A Redis once there is more than one process or gateway.
    """
    on_outage: Literal["local", "refuse"] = "local"
    """While that Redis is away: each process counts by itself, or calls to workers and with keys are refused with
    503. `refuse` where too many calls do more harm than none.
    """
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    """Who may do how much where."""
    entries_max: PositiveInt = 65_536
    """How many callers each rule remembers in memory; beyond that, those who have most of their burst are forgotten."""

    after: ClassVar[tuple[str, ...]] = ("real_ip",)
    _tables: dict[str, tuple[Rule, Memory]] = PrivateAttr(default_factory=dict)
    _flights: dict[str, tuple[Rule, Flights]] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _index(self) -> Self:
        for rule in self.rules:
            if rule.path in self._tables or rule.path in self._flights:
                raise ValueError(f'two rules for the prefix "{rule.prefix}"')
            if rule.limit is not None:
                self._tables[rule.path] = rule, Memory(rule.rate, entries_max=self.entries_max)
            if rule.concurrency is not None:
                self._flights[rule.path] = rule, Flights(rule.concurrency)
        return self

    @model_validator(mode="after")
    def _suits_its_store(self) -> Self:
        if self.store == MEMORY and "on_outage" in self.model_fields_set:
            raise ValueError("on_outage is of use with a Redis as store only; memory is never away")
        for rule, _ in self._tables.values() if self.store != MEMORY else ():
            if rule.rate.window > CAPACITY_DAYS_MAX * 86_400:
                raise ValueError(
                    f'the burst of "{rule.prefix}" takes more than {CAPACITY_DAYS_MAX} days to come back, which is '
                    "more than is counted exactly in Redis; make it smaller"
                )
        return self

    def prerequisites(self) -> tuple[str, ...]:
        """To count by key or account, the key must be known."""
        return ("api_key",) if any(rule.per != "address" for rule in self.rules) else ()

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Pass the call on, or refuse it: TooManyRequests with the time to wait, LimiterUnavailable."""
        shared = request.app[SHARED].get(self.store)
        limited = self.find(request[PATH])
        if limited is not None:
            rule, memory = limited
            caller = _caller(rule, request)
            decision = memory.take(caller) if shared is None else await self._take(request, shared, limited, caller)
            request[LIMIT_FIELDS] = _fields(rule, decision)
            if not decision.passes:
                REFUSALS.labels(rule.prefix, rule.per, "rate").inc()
                raise TooManyRequests(decision.retry_after)
        bounded = _longest(self._flights, request[PATH]) if self._flights else None
        if bounded is None:
            return await handler(request)
        return await self._fly(request, handler, shared, *bounded)

    def refuses(self, route: Route) -> tuple[type[Problem], ...]:
        """Where a rule counts, be it for some of the paths that the route serves."""
        if not any(reaches(rule.path, route.path) for rule in self.rules):
            return ()
        return (TooManyRequests, LimiterUnavailable) if self._must_know(route) else (TooManyRequests,)

    def adds(self, route: Route) -> tuple[str, ...]:
        """Where the caller stands, if a rate is counted on all of the route's paths."""
        return () if self.find(route.path) is None else FIELDS

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Tell the caller where it stands."""
        response.headers.update(request.get(LIMIT_FIELDS, {}))

    @asynccontextmanager
    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        """The sizes of the tables are among what is measured."""
        app[GAUGED].append(self._measure)
        yield

    def _measure(self) -> None:
        for rule, memory in self._tables.values():
            ENTRIES.labels(rule.prefix, rule.per, "rate").set(len(memory))
        for rule, flights in self._flights.values():
            ENTRIES.labels(rule.prefix, rule.per, "concurrency").set(len(flights))

    def find(self, path: str) -> tuple[Rule, Memory] | None:
        """The rule that limits the rate on a canonical path, and its table; None if no prefix matches."""
        return _longest(self._tables, path)

    def find_concurrency(self, path: str) -> Rule | None:
        """The rule that limits the calls under way on a canonical path; None if no prefix matches."""
        found = _longest(self._flights, path)
        return None if found is None else found[0]

    async def _take(self, request: web.Request, shared: Shared, limited: tuple[Rule, Memory], caller: str) -> Decision:
        rule, memory = limited
        decision = await shared.take(rule.prefix, rule.rate, caller)
        if decision is None:
            self._check_outage(request)
            return memory.take(caller)
        if decision.passes:
            memory.take(caller)  # so that no burst comes anew when Redis goes away
        return decision

    async def _fly(
        self, request: web.Request, handler: Handler, shared: Shared | None, rule: Rule, flights: Flights
    ) -> web.StreamResponse:
        """This process' own calls are counted in any case, so that its limit holds whatever becomes of Redis."""
        assert rule.concurrency is not None
        caller = _caller(rule, request)
        with flights.flight(caller) as has_room:
            if not has_room:
                raise _full(rule)
            if shared is None:
                return await handler(request)
            async with shared.flight(rule.prefix, rule.concurrency, caller, str(request[REQUEST_ID])) as has_entered:
                if has_entered is None:
                    self._check_outage(request)
                if has_entered is False:
                    raise _full(rule)
                return await handler(request)

    def _check_outage(self, request: web.Request) -> None:
        if self._must_know(request[MATCH].route):
            raise LimiterUnavailable

    def _must_know(self, route: Route) -> bool:
        """What this gateway answers by itself goes on, `/health` and `/ready` above all."""
        is_work = route.needs_key or route.upstream is not None
        return is_work and self.store != MEMORY and self.on_outage == "refuse"


def _full(rule: Rule) -> TooManyRequests:
    REFUSALS.labels(rule.prefix, rule.per, "concurrency").inc()
    return TooManyRequests(FULL_SECONDS)


def _longest(rules: Mapping[str, T], path: str) -> T | None:
    path = path.rstrip("/")
    while True:
        found = rules.get(path)
        if found is not None or not path:
            return found
        path = path.rpartition("/")[0]


def _caller(rule: Rule, request: web.Request) -> str:
    if rule.per != "address" and KEY in request:
        key = request[KEY]
        return f"key {key.id}" if rule.per == "key" else f"account {key.account}"
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
