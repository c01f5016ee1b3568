"""Where all metrics are registered, and the buckets that their histograms share.

Source: Prometheus, "Metric and label naming" and "Histograms and summaries".
"""

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, disable_created_metrics, values

from nijika.metrics.cells import Files

VARIABLE = "NIJIKA_METRICS"
"""Of the environment: the folder in which a gateway's processes count together. Without it one counts by itself."""

FOLDER = Path(os.environ[VARIABLE]) if VARIABLE in os.environ else None

if FOLDER is not None:
    values.ValueClass = Files(FOLDER).value  # where all metrics look that are made from here on

# When a counter began tells nobody anything, and doubles what a scrape is made of.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()

SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)
"""From what a refusal takes to what a worker may take."""

NOTHING = "-"
"""The label of what is not there: a path that leads nowhere has no route, a success no problem."""


class Total:
    """A counter that follows a plain number, for what happens too often to be counted twice."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._seen = 0

    def seen(self, number: int) -> None:
        """So much it is now, and never less."""
        self._counter.inc(number - self._seen)
        self._seen = number
