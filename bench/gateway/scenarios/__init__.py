"""What is measured, by name; each makes tables."""

from collections.abc import Callable, Iterator

from bench.gateway.bench import Bench
from bench.gateway.scenarios import events, large, memory, small, transfer
from bench.gateway.table import Table

SCENARIOS: dict[str, Callable[[Bench], Iterator[Table]]] = {
    "small": small.measure,
    "large": large.measure,
    "transfer": transfer.measure,
    "events": events.measure,
    "memory": memory.measure,
}
