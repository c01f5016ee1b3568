"""A collector of traces: takes OTLP over HTTP as the real ones do, and keeps what it got."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

KINDS = {1: "internal", 2: "server", 3: "client"}


@dataclass(frozen=True)
class Span:
    """What was told of one span; ids in hex, `parent` empty for the first of a trace."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    failed: bool
    service: str


class Collector:
    """Listens on a free port; `fields` are the header fields of each batch. While `hangs`, it does not answer."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Span] = []
        self.fields: list[dict[str, str]] = []
        self.hangs = False
        self.arrived = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def start(cls) -> AsyncIterator["Collector"]:
        collector = cls()
        app = web.Application()
        app.router.add_post("/v1/traces", collector._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield collector
        await runner.cleanup()

    def span(self, name: str) -> Span:
        (found,) = [span for span in self.spans if span.name == name]
        return found

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.fields.append(dict(request.headers))
        self.spans += _spans(ExportTraceServiceRequest.FromString(body))
        self.arrived.set()
        if self.hangs:
            await asyncio.Event().wait()
        return web.Response(content_type="application/x-protobuf")


def _spans(batch: ExportTraceServiceRequest) -> Iterable[Span]:
    for resource in batch.resource_spans:
        service = _values(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    span.name,
                    KINDS[span.kind],
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    _values(span.attributes),
                    span.status.code == 2,
                    service,
                )


def _values(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    return {found.key: getattr(found.value, str(found.value.WhichOneof("value"))) for found in attributes}
