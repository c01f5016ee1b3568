"""Your key: who pays, and whether this key may go where it wants to go."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar, Self

from aiohttp import hdrs, web
from pydantic import PrivateAttr, model_validator

from nijika.errors import (
    InvalidKey,
    LedgerUnavailable,
    MissingKey,
    OutOfScope,
    Problem,
    Suspended,
    TooManyWrongKeys,
)
from nijika.limits.caller import bucket
from nijika.limits.penalty import Penalty
from nijika.limits.settings import MEMORY, PerTimeSetting, Store
from nijika.metrics.limits import ENTRIES, WRONG_KEYS
from nijika.module import Handler, Middleware, Route
from nijika.state import CLIENT_IP, GAUGED, KEY, KEYRING, MATCH, SHARED, VAULT
from nijika.store.keys import Key
from nijika.store.vault import is_well_formed


class ApiKey(Middleware):
    """Routes that need a key get it from `X-API-Key` or `Authorization: Bearer`; the others pass."""

    use: str = "api_key"
    failures: PerTimeSetting | None = None
    """How many keys that are not valid may come from one address; then it is refused with 429 before the database is
    asked, with right ones, too. Be generous where many people share an address.
    """
    store: Store = MEMORY
    """Where these are counted: by each process, or together, in a Redis; by each process alone while that is away."""

    after: ClassVar[tuple[str, ...]] = ("real_ip",)
    _penalty: Penalty | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _count_failures(self) -> Self:
        if self.failures is not None:
            self._penalty = Penalty("wrong-keys", self.failures)
        elif "store" in self.model_fields_set:
            raise ValueError('store is where failures are counted; add failures = "20/m", or remove it')
        return self

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Put the Key on the request, or refuse: MissingKey, InvalidKey, TooManyWrongKeys, Suspended, OutOfScope.

        LedgerUnavailable if the database is away, which must never look like a wrong key.
        """
        route = request[MATCH].route
        if not route.needs_key:
            return await handler(request)
        key = await self._key(request)
        if key.suspended:
            raise Suspended
        if key.scopes is not None and route.name not in key.scopes:
            raise OutOfScope
        request[KEY] = key
        return await handler(request)

    @asynccontextmanager
    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        """The number of callers with wrong keys is among what is measured."""
        app[GAUGED].append(self._measure)
        yield

    def _measure(self) -> None:
        if self._penalty is not None:
            ENTRIES.labels("-", "address", "wrong-keys").set(len(self._penalty))

    def refuses(self, route: Route) -> tuple[type[Problem], ...]:
        """Whoever has no right to call."""
        if not route.needs_key:
            return ()
        guesses = () if self._penalty is None else (TooManyWrongKeys,)
        return (MissingKey, InvalidKey, *guesses, Suspended, OutOfScope, LedgerUnavailable)

    async def _key(self, request: web.Request) -> Key:
        penalty = self._penalty
        if penalty is None:
            return await _known(request)
        caller, shared = bucket(request[CLIENT_IP]), request.app[SHARED].get(self.store)
        wait = await penalty.wait(caller, shared)
        if wait:
            raise TooManyWrongKeys(wait)
        try:
            return await _known(request)
        except InvalidKey:
            await penalty.count(caller, shared)
            raise


async def _known(request: web.Request) -> Key:
    try:
        return await _find(request, _sent(request))
    except InvalidKey:
        WRONG_KEYS.inc()
        raise


def _sent(request: web.Request) -> str:
    texts = request.headers.getall("X-API-Key", ())
    if not texts:
        credentials = request.headers.getall(hdrs.AUTHORIZATION, ())
        texts = [
            text for scheme, _, text in (line.partition(" ") for line in credentials) if scheme.lower() == "bearer"
        ]
    if not texts:
        raise MissingKey
    if len(texts) > 1:
        raise InvalidKey
    return texts[0].strip()


async def _find(request: web.Request, text: str) -> Key:
    if not is_well_formed(text):
        raise InvalidKey
    key = await request.app[KEYRING].find(request.app[VAULT].digests(text))
    if key is None:
        raise InvalidKey
    return key
