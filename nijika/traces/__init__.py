"""Traces: what one request went through, span by span, for somebody who collects such things.

While they are off, nothing of OpenTelemetry is imported, and a span is a look into a variable.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Protocol

from yarl import URL

Fields = Sequence[tuple[str, str]]


class Span(Protocol):
    """Something that takes time within a request."""

    @property
    def parent(self) -> Fields:
        """Whoever gets these fields, and none by a caller, goes on with this span as its parent; none if it is off."""

    def answered(self, status: int, url: URL) -> None:
        """A worker has answered from below this address."""


class Tracer(Protocol):
    """Makes the spans of one request."""

    def step(self, name: str, notes: dict[str, str | int]) -> AbstractContextManager[Span]:
        """A step of the gateway's own."""

    def call(self, upstream: str, method: str) -> AbstractContextManager[Span]:
        """A call of a worker."""


current: ContextVar[Tracer | None] = ContextVar("tracer", default=None)
"""That of the request which this task works for."""


def step(name: str, **notes: str | int) -> AbstractContextManager[Span]:
    """The block is a span, if this request is traced."""
    tracer = current.get()
    return _OFF if tracer is None else tracer.step(name, notes)


def call(upstream: str, method: str) -> AbstractContextManager[Span]:
    """The block is the span of a call to a worker, if this request is traced."""
    tracer = current.get()
    return _OFF if tracer is None else tracer.call(upstream, method)


class _Nothing:
    """Stands for a span while traces are off: what a caller sent is handed on as it came."""

    parent: Fields = ()

    def answered(self, status: int, url: URL) -> None: ...


_OFF: AbstractContextManager[Span] = nullcontext(_Nothing())
