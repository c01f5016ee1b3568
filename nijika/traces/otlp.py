"""Traces by OpenTelemetry, sent by OTLP over HTTP; to be imported only where they are on.

Source: OpenTelemetry semantic conventions for HTTP spans; W3C Trace Context. A thread of the SDK sends what is over, in
batches; what does not fit into its queue is dropped, so that no request ever waits for a collector.
"""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Self

from multidict import MultiMapping
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from yarl import URL

from nijika import traces
from nijika.errors import Problem

EXPORT_SECONDS = 5.0
"""A batch that a collector does not take within this is given up."""

CLOSE_SECONDS = 3.0
"""The end of a process waits this long for its last batch."""

_W3C = TraceContextTextMapPropagator()


class Otlp:
    """Spans of `service_name` on their way to `endpoint`; an async context manager, whose end sends what is left.

    Of the requests that no caller has named a trace for, or that belong to one which is recorded, the part `sample` is
    recorded; which part, the trace's id decides, so that all services choose the same ones.
    """

    def __init__(self, endpoint: str, headers: Mapping[str, str], *, sample: float, service_name: str) -> None:
        share = TraceIdRatioBased(sample)
        self._provider = TracerProvider(
            # A caller may ask that a request is not recorded, but not that more of them are.
            sampler=ParentBased(share, remote_parent_sampled=share),
            resource=Resource.create({"service.name": service_name}),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(endpoint, headers=dict(headers), timeout=EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("nijika")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """The SDK joins its thread, so that is done in another one, which is not waited for longer than it deserves."""
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def close() -> None:
            self._provider.shutdown()
            if not loop.is_closed():
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=close, name="traces", daemon=True).start()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await done.wait()
        except TimeoutError:
            return

    @contextmanager
    def request(self, method: str, fields: MultiMapping[str]) -> "Iterator[RequestSpan]":
        """The block serves a request, as the next step of the trace that its fields name, if they do."""
        attributes = {"http.request.method": method}
        parent = _W3C.extract(fields, context=Context(), getter=_Fields())
        span = self._tracer.start_span(method, parent, SpanKind.SERVER, attributes)
        traces.current.set(self)
        with _over(span), trace.use_span(span, record_exception=False, set_status_on_exception=False):
            yield RequestSpan(span)

    @contextmanager
    def step(self, name: str, notes: dict[str, str | int]) -> Iterator[traces.Span]:
        """As `traces.step`."""
        span = self._tracer.start_span(name, attributes={f"nijika.{note}": value for note, value in notes.items()})
        with _over(span):
            yield _Span(span)

    @contextmanager
    def call(self, upstream: str, method: str) -> Iterator[traces.Span]:
        """As `traces.call`. What the gateway does meanwhile is no part of it: it is not made the current span."""
        attributes = {"http.request.method": method, "nijika.upstream": upstream}
        span = self._tracer.start_span(f"{method} {upstream}", kind=SpanKind.CLIENT, attributes=attributes)
        with _over(span):
            yield _Span(span)


class RequestSpan:
    """The span of a whole request."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def ended(self, name: str, status: int, code: str, attributes: Mapping[str, str]) -> None:
        """How it ended; `code` is that of the problem, and an error if the fault is ours."""
        self._span.update_name(name)
        self._span.set_attributes({**attributes, "http.response.status_code": status})
        if status >= 500:  # noqa: PLR2004 (5xx)
            _fail(self._span, code)


class _Span:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def parent(self) -> traces.Fields:
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, trace.set_span_in_context(self._span))
        return list(carrier.items())

    def answered(self, status: int, url: URL) -> None:
        self._span.set_attribute("http.response.status_code", status)
        self._span.set_attributes({"server.address": url.host or "", "server.port": url.port or 0})


class _Fields(Getter[MultiMapping[str]]):
    """Two parents are none (W3C Trace Context, 3.2.2); a state may come in several fields."""

    def get(self, carrier: MultiMapping[str], key: str) -> list[str] | None:
        values = carrier.getall(key, [])
        return values if values and (key != "traceparent" or len(values) == 1) else None

    def keys(self, carrier: MultiMapping[str]) -> list[str]:
        return list(carrier)


@contextmanager
def _over(span: trace.Span) -> Iterator[None]:
    """The span ends with the block. What went wrong is told by its code: words may hold what is nobody's business."""
    try:
        yield
    except Problem as problem:
        if problem.status >= 500:  # noqa: PLR2004 (5xx)
            _fail(span, problem.code)
        raise
    except Exception as error:
        _fail(span, type(error).__name__)
        raise
    finally:
        span.end()


def _fail(span: trace.Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)
