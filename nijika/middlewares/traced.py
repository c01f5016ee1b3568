"""A link that is there while traces are on: the span of each request, which all others are within."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Self
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from nijika import access
from nijika.metrics.registry import NOTHING
from nijika.module import Handler, Middleware, Settings
from nijika.state import CLIENT_IP, CODE, PUBLIC_URL, REQUEST_ID

if TYPE_CHECKING:
    from nijika.traces.otlp import Otlp, RequestSpan

PATH = "/v1/traces"
"""Where collectors listen (OTLP specification)."""


def _endpoint(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment or not text.isprintable():
        raise ValueError(f'"{text}" is no address of a collector, such as "http://127.0.0.1:4318"')
    return text if url.path not in {"", "/"} else text.rstrip("/") + PATH


class Traces(Settings):
    """`[traces]`: spans of each request for a collector that speaks OTLP over HTTP; without `endpoint` they are off."""

    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = None
    """The collector's address; without a path, /v1/traces is meant."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Header fields that the collector wants to see, such as a token."""
    sample: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The part of all requests that is recorded, from 0 to 1. Less where there are many calls."""
    service_name: Annotated[str, Field(min_length=1, max_length=255)] = "nijika"
    """What the collector calls this gateway."""

    @model_validator(mode="after")
    def _can_be_had(self) -> Self:
        if self.endpoint is not None and not _installed("opentelemetry.exporter.otlp.proto.http"):
            raise ValueError("traces need OpenTelemetry, which is not installed: pip install 'nijika[traces]'")
        return self


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # of a package around it
        return False


class Traced(Middleware):
    """Always second, if it is there; `settings` is the table `[traces]`."""

    use: str = "traced"
    settings: Traces

    _otlp: "Otlp | None" = PrivateAttr(default=None)

    @asynccontextmanager
    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:  # noqa: ARG002 (Module's signature)
        """Begin to send; at the end, what is left is sent."""
        from nijika.traces.otlp import Otlp  # noqa: PLC0415 (an extra, and half a second)

        settings = self.settings
        assert settings.endpoint is not None, "without it there is no link"
        otlp = Otlp(settings.endpoint, settings.headers, sample=settings.sample, service_name=settings.service_name)
        async with otlp:
            self._otlp = otlp
            yield

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The handler's answer."""
        assert self._otlp is not None, "it was opened before the first request"
        with self._otlp.request(_method(request), request.headers) as span:
            try:
                response = await handler(request)
            except web.HTTPException as redirect:
                _tell(span, request, redirect.status)
                raise
            _tell(span, request, response.status)
            return response


def _method(request: web.Request) -> str:
    method = access.method(request)
    return "_OTHER" if method == NOTHING else method


def _tell(span: "RequestSpan", request: web.Request, status: int) -> None:
    route, method = access.route(request), _method(request)
    attributes = {
        "nijika.request_id": str(request[REQUEST_ID]),
        "url.path": access.path(request),
        "url.scheme": request.app[PUBLIC_URL].partition("://")[0],
        "client.address": str(request.get(CLIENT_IP, NOTHING)),
    }
    if route != NOTHING:
        attributes["http.route"] = route
    span.ended(f"{method} {route}" if route != NOTHING else method, status, request.get(CODE, NOTHING), attributes)
