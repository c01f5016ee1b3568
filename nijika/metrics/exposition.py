"""What a scrape is answered with: the numbers of all processes, in the form that it asks for."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from nijika.metrics import together
from nijika.metrics.registry import FOLDER, REGISTRY


def render(accept: str) -> tuple[bytes, str]:
    """The text and its content type: Prometheus' own, or OpenMetrics where `accept` names it.

    It reads files and takes some milliseconds a process, so it is for a thread.
    """
    encode, content_type = choose_encoder(accept)
    if FOLDER is None:
        return encode(REGISTRY), content_type
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(FOLDER))  # type: ignore[no-untyped-call]
    with together.reading(FOLDER):
        return encode(registry), content_type
