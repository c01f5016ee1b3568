"""The memory of a fresh contender, and of each connection that is open with nothing to do."""

import http.client
import select
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing

from bench.gateway.bench import Bench, tell
from bench.gateway.exchange import connect, small
from bench.gateway.programs import Unavailable
from bench.gateway.serving import Served
from bench.gateway.table import Table

CONNECTIONS = 2000


def measure(bench: Bench) -> Iterator[Table]:
    """One table."""
    note = (
        f"Resident memory of all of its processes. Fresh: after the first call. Idle: {CONNECTIONS:,} keep-alive "
        "connections, on each of which one small call was made; open: how many of these it still had at the end."
    )
    table = Table("Memory", note, ("contender", "fresh MiB", "KiB an idle connection", "open"))
    for name in [name for name in bench.contenders if name != "direct"]:
        try:
            with bench.alone(name) as served:
                fresh = served.rss_mib()
                growth, still = _idle(served)
        except Unavailable as error:
            tell(f"{name}: {error}")
            continue
        table.add(
            name,
            f"{fresh:.1f}",
            f"{growth:.1f}" if still else "-",
            f"{still:,}",
            contender=name,
            fresh_mib=fresh,
            idle_kib=growth,
            open=still,
        )
        tell(f"memory: {name}")
    yield table


def _idle(served: Served) -> tuple[float, int]:
    """KiB for each of many connections, and how many of them the contender has not closed."""
    before = served.rss_mib()
    with ExitStack() as stack:
        connections = [stack.enter_context(closing(connect(served.port))) for _ in range(CONNECTIONS)]
        for number, connection in enumerate(connections):
            small(connection, served.prefix, served.callers[number % len(served.callers)])
        still = _still_open(connections)
        return (served.rss_mib() - before) * 1024 / max(still, 1), still


def _still_open(connections: Sequence[http.client.HTTPConnection]) -> int:
    """A connection on which something can be read, while nothing was asked, was closed."""
    poll = select.poll()
    sockets = [connection.sock for connection in connections if connection.sock is not None]
    for sock in sockets:
        poll.register(sock, select.POLLIN | select.POLLRDHUP)
    return len(sockets) - len(poll.poll(0))
