"""Forward a path to a worker: one table of config.toml makes one paid endpoint."""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AfterValidator, BeforeValidator, Field, NonNegativeInt, model_validator

from nijika import credits
from nijika.credits import Amount
from nijika.errors import BadPath, UpstreamFailed, UpstreamTimeout, UpstreamUnavailable
from nijika.module import FREE, About, Plugin, Price, Route, Settings, Table
from nijika.proxy.forward import forward
from nijika.proxy.headers import Fields, forwarded
from nijika.proxy.inbound import Inbound
from nijika.proxy.path import canonical
from nijika.route import shape
from nijika.state import (
    BEGAN,
    BILL,
    BODY_SECONDS,
    CLIENT_IP,
    FINGERPRINT,
    KEY,
    MATCH,
    PATH,
    PUBLIC_URL,
    QUERY,
    REQUEST_ID,
    UPSTREAMS,
)

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def _field_name(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9-]+", text) is None:
        raise ValueError(f'"{text}" is no name of a header field')
    return text


_PROBLEMS = UpstreamFailed, UpstreamUnavailable, UpstreamTimeout


class Metered(Settings):
    """`hold` the most that a call may cost; `capture` names the field in which the worker reports what it did cost."""

    hold: Annotated[Amount, Field(gt=0)]
    capture: Annotated[str, AfterValidator(_field_name)]


def _price(value: Any) -> Price:
    if value == "free":
        return FREE
    if isinstance(value, str):
        amount = credits.parse(value)
        if amount == 0:
            raise ValueError('a price of nothing is written out: "free"')
        return Price(amount)
    if isinstance(value, dict):
        metered = Metered.model_validate(value)
        return Price(metered.hold, metered.capture)
    raise ValueError('a price is decimal text such as "0.01", or "free", or { hold = "0.10", capture = "X-Cost" }')


def _path(value: str) -> str:
    shape(value)
    plain = re.sub(r"\{[a-z_]+\}", "x", value)
    try:
        is_canonical = canonical(plain).path == plain
    except BadPath:
        is_canonical = False
    if not is_canonical:
        raise ValueError(f'"{value}" has another spelling, under which callers come; write it without needless escapes')
    return value


class Proxy(Plugin):
    """Calls of `path` go to `target` on the upstream; `target` left out means the same path.

    A path that ends in `/*` forwards everything below it; its target then ends so too.
    `key = true` asks for a key although the route is free. When the caller of a priced route hangs up after its upload,
    the work is finished and paid for ("finish"), or stopped and refunded (`on_disconnect = "cancel"`).
    `summary`, a line, and `description` are what people and programs read about it.
    """

    path: Annotated[str, AfterValidator(_path)]
    methods: Annotated[tuple[Method, ...], Field(min_length=1)] = ("POST",)
    upstream: str
    target: Annotated[str, AfterValidator(_path)] | None = None
    price: Annotated[Price, BeforeValidator(_price), Table(Metered)]
    key: bool = False
    body_bytes_max: NonNegativeInt = 26_214_400
    content_types: tuple[str, ...] = ()
    on_disconnect: Literal["finish", "cancel"] | None = None
    summary: Annotated[str, Field(max_length=120)] = ""
    description: str = ""

    @model_validator(mode="after")
    def _check(self) -> "Proxy":
        if self.target is not None and self.path.endswith("/*") != self.target.endswith("/*"):
            raise ValueError('path and target both end in "/*", or neither does')
        if "{" in (self.target or ""):
            raise ValueError('a target has no "{name}"; leave it out to keep the path')
        if self.price == FREE and self.on_disconnect == "finish":
            raise ValueError('on_disconnect = "finish" is for priced routes; a free call ends with its caller')
        return self

    def routes(self) -> Iterable[Route]:
        """The one route of this table."""
        yield Route(
            methods=self.methods,
            path=self.path,
            handler=self._serve,
            price=self.price,
            needs_key=self.key,
            body_bytes_max=self.body_bytes_max,
            content_types=tuple(kind.lower() for kind in self.content_types),
            upstream=self.upstream,
            target=self.target or self.path,
            continues=True,
            on_disconnect=self.on_disconnect or "finish",
            about=About(self.summary, self.description, problems=_PROBLEMS),
        )

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        upstream = request.app[UPSTREAMS][self.upstream]
        seconds = request.app[BODY_SECONDS]
        return await forward(
            request,
            upstream,
            target=self._target(request),
            body=Inbound(
                request,
                bytes_max=self.body_bytes_max,
                seconds=seconds,
                keeps=upstream.wake is not None,
                reader=request.get(FINGERPRINT),
            ),
            added=self._added(request),
            bill=request.get(BILL),
            began=request[BEGAN],
        )

    def _target(self, request: web.Request) -> str:
        path = self.target or request[PATH]
        if self.path.endswith("/*") and self.target is not None:
            path = path.removesuffix("*") + request[MATCH].variables["rest"]
        query = request[QUERY]
        return f"{path}?{query}" if query else path

    def _added(self, request: web.Request) -> Fields:
        """What the worker is told of the call, in place of what the caller may have claimed."""
        scheme, _, host = request.app[PUBLIC_URL].partition("://")
        fields = forwarded(str(request[CLIENT_IP]), scheme, host.rstrip("/"))
        fields.append(("X-Request-ID", str(request[REQUEST_ID])))
        if KEY in request:
            fields.append(("X-Nijika-Account", str(request[KEY].account)))
        return fields
