"""What one call of a worker took, told to the metrics however it ends."""

import time
from types import TracebackType
from typing import Self

from nijika.errors import UpstreamFailed, UpstreamTimeout, UpstreamUnavailable
from nijika.metrics import upstreams
from nijika.metrics.registry import NOTHING
from nijika.proxy.answer import Awaited
from nijika.proxy.body import Body
from nijika.proxy.elsewhere import Elsewhere
from nijika.proxy.patience import Patience
from nijika.proxy.unsent import Unsent
from nijika.proxy.upstream import Upstream


class Counted:
    """A context manager around all that is done with one upstream: `answer` is what came of it, once that is there."""

    def __init__(self, upstream: Upstream, body: Body, patience: Patience, elsewhere: Elsewhere) -> None:
        self.upstream = upstream
        self.patience = patience
        self.answer: Awaited | None = None
        self._body = body
        self._elsewhere = elsewhere
        self._sent_before = body.sent_bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        spent = self.patience.spent
        self._elsewhere.worker += spent
        upstreams.ended(
            self.upstream.name,
            NOTHING if error is None else _code(error),
            spent,
            self._body.sent_bytes - self._sent_before,
            0 if self.answer is None else self.answer.received_bytes,
        )

    def queued(self, began: float) -> None:
        """Room at the upstream was waited for since then (time.perf_counter()), whether it came or not."""
        self._elsewhere.worker += time.perf_counter() - began


def _code(error: BaseException) -> str:
    problem = error.problem if isinstance(error, Unsent) else error
    return problem.code if isinstance(problem, UpstreamFailed | UpstreamTimeout | UpstreamUnavailable) else NOTHING
