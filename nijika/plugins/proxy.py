"""Forward a path to a worker: one table of config.toml makes one paid endpoint."""

from collections.abc import Iterable
from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field, NonNegativeInt, model_validator

from nijika import endpoint
from nijika.endpoint import PathSetting, PriceSetting
from nijika.module import FREE, About, Plugin, Route
from nijika.proxy.forward import forward
from nijika.state import BEGAN, BILL, MATCH, PATH, QUERY, UPSTREAMS

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class Proxy(Plugin):
    """Calls of `path` go to a worker, and its answers back: one table makes one paid endpoint."""

    path: PathSetting
    """Where it is called. A segment `{name}` stands for any one segment, a last `*` for all the rest."""
    methods: Annotated[tuple[Method, ...], Field(min_length=1)] = ("POST",)
    """The methods that pass; others are 405."""
    upstream: str
    """The worker: the name of a table `[upstreams.NAME]`."""
    target: PathSetting | None = None
    """The path on the worker; left out: the same as `path`. Where the path ends in `*` the target does, too."""
    price: PriceSetting
    """What a success costs; a call that fails costs nothing. A table where the worker tells what it did cost."""
    key: bool = False
    """A free route asks for a key all the same. A priced one always does."""
    body_bytes_max: NonNegativeInt = 26_214_400
    """The largest body that is taken, in bytes; a larger one is 413. Not more than the worker takes."""
    content_types: tuple[str, ...] = ()
    """The types of body that are taken, such as `image/*`; others are 415 before the body is read. Left out: any."""
    on_disconnect: Literal["finish", "cancel"] | None = None
    """When the caller of a priced call hangs up after its upload: the work is finished and paid for (left out, or
    `finish`), or stopped and refunded (`cancel`). `cancel` where a worker notices, and stops.
    """
    summary: Annotated[str, Field(max_length=120)] = ""
    """A line about it, for the reference and the front page."""
    description: str = ""
    """More about it, for the reference; an empty line begins a new paragraph."""

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
            about=About(self.summary, self.description, problems=endpoint.PROBLEMS),
        )

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        return await forward(
            request,
            request.app[UPSTREAMS][self.upstream],
            target=self._target(request),
            body=endpoint.body(request, self.upstream, self.body_bytes_max),
            added=endpoint.told(request),
            bill=request.get(BILL),
            began=request[BEGAN],
        )

    def _target(self, request: web.Request) -> str:
        path = self.target or request[PATH]
        if self.path.endswith("/*") and self.target is not None:
            path = path.removesuffix("*") + request[MATCH].variables["rest"]
        query = request[QUERY]
        return f"{path}?{query}" if query else path
