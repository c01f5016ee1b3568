"""What a scrape is answered with: the numbers of all processes, in the form that it asks for."""

import os
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from nijika.metrics import together
from nijika.metrics.registry import REGISTRY


def is_alone() -> bool:
    """Whether this process counts for itself, and not together with others."""
    return together.VARIABLE not in os.environ


def render(accept: str) -> tuple[bytes, str]:
    """The text and its content type: Prometheus' own, or OpenMetrics where `accept` names it.

    It reads files and takes some milliseconds a process, so it is for a thread.
    """
    encode, content_type = choose_encoder(accept)
    if is_alone():
        return encode(REGISTRY), content_type
    path = os.environ[together.VARIABLE]
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path)  # type: ignore[no-untyped-call]
    with together.reading(Path(path)):
        return encode(registry), content_type
