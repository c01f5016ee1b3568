"""The reference of what programs can call: one document for machines, and the same as a page."""

import hashlib
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import hdrs, web
from pydantic import PrivateAttr, RootModel

from nijika.module import FREE, About, Plugin, Route
from nijika.pages import form
from nijika.pages.form import Form
from nijika.plugins.openapi import page
from nijika.plugins.openapi.document import Chain, document
from nijika.state import ADDITIONS, PUBLIC_URL, REFUSALS, ROUTES

CACHED = "public, max-age=300"


class Document(RootModel[dict[str, Any]]):
    """An OpenAPI document."""


_ABOUT_DOCUMENT = About("This description, for machines", answer=Document, statuses=(200, 304))


class OpenApi(Plugin):
    """`GET /openapi.json` (OpenAPI 3.1) and `GET /docs`, made from the configured routes."""

    title: str = "API"
    """What the reference calls your API."""
    version: str = "1"
    """The version of your API, as the reference tells it; for you to count."""

    _document: dict[str, Any] = PrivateAttr(default_factory=dict)

    def prerequisites(self) -> tuple[str, ...]:
        """Who is signed in finds the own key in the examples."""
        return ("session",)

    def routes(self) -> Iterable[Route]:
        """The document and its page; the form on the page shows a key."""
        yield Route(("GET",), "/openapi.json", self._json, FREE, about=_ABOUT_DOCUMENT)
        yield Route(("GET",), "/docs", self._page, FREE, who="visitor")
        yield form.post("/docs", self._page_with_key, who="user")

    @asynccontextmanager
    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        """Routes do not change while the gateway runs."""
        routes = app[ROUTES]
        chain = Chain(app[REFUSALS], app[ADDITIONS])
        made = document(routes, chain, url=app[PUBLIC_URL], title=self.title, version=self.version)
        self._document.update(made)
        yield

    async def _json(self, request: web.Request) -> web.StreamResponse:
        """Open to pages of other sites: tools that read such documents run there."""
        body = json.dumps(self._document, ensure_ascii=False).encode()
        tag = hashlib.sha256(body).hexdigest()[:32]
        known = any(known.value == tag for known in request.if_none_match or ())
        answer = web.Response(status=304) if known else web.Response(body=body, content_type="application/json")
        answer.etag = tag
        answer.headers[hdrs.CACHE_CONTROL] = CACHED
        answer.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"
        return answer

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return await page.reference(request, self._document, reveals=False)

    async def _page_with_key(self, request: web.Request, _: Form) -> web.StreamResponse:
        return await page.reference(request, self._document, reveals=True)
