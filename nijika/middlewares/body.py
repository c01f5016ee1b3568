"""A body that the route will not take is refused by its head, before it is sent or paid for."""

from fnmatch import fnmatchcase

from aiohttp import web

from nijika.errors import BodyTooLarge, Problem, RequestTimeout, UnsupportedType
from nijika.module import Handler, Middleware, Route
from nijika.state import MATCH


class Body(Middleware):
    """Always there, right before `pricing` or else last; it needs no table in config.toml."""

    use: str = "body"

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse with BodyTooLarge or UnsupportedType. A body of unknown length is counted while it flows."""
        route = request[MATCH].route
        if (request.content_length or 0) > route.body_bytes_max:
            raise BodyTooLarge(route.body_bytes_max)
        # For handlers that gather a body: aiohttp counts it against this.
        request._client_max_size = route.body_bytes_max  # noqa: SLF001 (else it is one bound for all routes)
        if route.content_types and request.can_read_body:
            kind = request.content_type.lower()
            if not any(fnmatchcase(kind, accepted) for accepted in route.content_types):
                raise UnsupportedType(route.content_types)
        return await handler(request)

    def refuses(self, route: Route) -> tuple[type[Problem], ...]:
        """What can be wrong with a body, here or while it flows; methods that have none by nature are left out."""
        if not route.takes_body:
            return ()
        return (BodyTooLarge, RequestTimeout, *((UnsupportedType,) if route.content_types else ()))
