"""Server-sent events: when the first one arrives, while the second is still to be made."""

import time
from collections.abc import Iterator
from contextlib import closing

from bench.gateway.bench import Bench
from bench.gateway.exchange import connect
from bench.gateway.serving import Served
from bench.gateway.sizes import EVENT, EVENT_SECONDS
from bench.gateway.table import Table, median

CALLS = 10


def measure(bench: Bench) -> Iterator[Table]:
    """One table; calls one after the other, in rounds."""
    delays: dict[str, list[float]] = {}
    with bench.everybody(warm=False) as served:
        for _ in range(bench.options.rounds):
            for name, one in served.items():
                delays.setdefault(name, []).extend(_delay(one) for _ in range(CALLS))
    wait = EVENT_SECONDS * 1000
    note = (
        f"Milliseconds to the first event, medians of {CALLS * bench.options.rounds} calls. The second one is made "
        f"{wait:.0f} ms later: whoever passes the first one on not long before that has held it back. The newest piece "
        "of a priced answer waits for the next one, or for its settlement: what is not charged is not whole."
    )
    table = Table("Server-sent events", note, ("contender", "first event ms", "beyond direct"))
    direct = median(delays["direct"])
    for name, those in delays.items():
        middle = median(those)
        table.add(name, f"{middle:.2f}", f"{middle - direct:.2f}", contender=name, milliseconds=those)
    yield table


def _delay(served: Served) -> float:
    with closing(connect(served.port)) as connection:
        connection.connect()
        began = time.perf_counter()
        connection.request("GET", f"{served.prefix}/events", headers=dict(served.callers[0]))
        answer = connection.getresponse()
        first = answer.read(len(EVENT))
        delay = (time.perf_counter() - began) * 1000
        assert first == EVENT, first
        answer.read()
    return delay
