"""Your key: who pays, and whether this key may go where it wants to go."""

from typing import ClassVar

from aiohttp import hdrs, web

from nijika.database import OUTAGE
from nijika.errors import InvalidKey, LedgerUnavailable, MissingKey, OutOfScope, Problem, Suspended
from nijika.module import Handler, Middleware, Route
from nijika.state import KEY, MATCH, POOL, VAULT
from nijika.store import keys
from nijika.store.keys import Key
from nijika.store.vault import is_well_formed


class ApiKey(Middleware):
    """Routes that need a key get it from `X-API-Key` or `Authorization: Bearer`; the others pass."""

    use: str = "api_key"

    after: ClassVar[tuple[str, ...]] = ("real_ip",)

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Put the Key on the request, or refuse: MissingKey, InvalidKey, Suspended, OutOfScope."""
        route = request[MATCH].route
        if not route.needs_key:
            return await handler(request)
        key = await _find(request, _sent(request))
        if key.suspended:
            raise Suspended
        if key.scopes is not None and route.name not in key.scopes:
            raise OutOfScope
        request[KEY] = key
        return await handler(request)

    def refuses(self, route: Route) -> tuple[type[Problem], ...]:
        """Whoever has no right to call."""
        return (MissingKey, InvalidKey, Suspended, OutOfScope, LedgerUnavailable) if route.needs_key else ()


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
    """An outage of the database must never look like a wrong key."""
    if not is_well_formed(text):
        raise InvalidKey
    try:
        key = await keys.find(request.app[POOL], request.app[VAULT].digests(text))
    except OUTAGE as error:
        raise LedgerUnavailable from error
    if key is None:
        raise InvalidKey
    return key
