"""Small bodies, 10 KiB in and 1 KiB out: answers a second and latency, by the number of connections."""

import dataclasses
from collections.abc import Iterator, Sequence

from bench.gateway.bench import Bench
from bench.gateway.contenders import BARE, DIRECT
from bench.gateway.load import Load, Run
from bench.gateway.sizes import BODY_BYTES
from bench.gateway.table import Table, median, ranged, spread

COLUMNS = (
    "contender",
    "answers/s",
    f"x {BARE}",
    "p50 ms",
    "p99 ms",
    "added p50",
    "added p99",
    "CPU µs an answer",
    "spread",
)


def measure(bench: Bench) -> Iterator[Table]:
    """A table for each number of connections."""
    with bench.everybody(warm=True) as served:
        for connections in bench.options.connections:
            load = Load("small", connections, BODY_BYTES, bench.options.seconds)
            runs = bench.rounds(served, load)
            alone = [run for name, those in runs.items() for run in those if len(served[name].cores) == 1]
            yield _table(connections, runs, _noise(alone))


def _table(connections: int, runs: dict[str, list[Run]], noise: str) -> Table:
    note = (
        f"Medians of {len(runs[BARE])} rounds. x {BARE}: the ratio within one round, in brackets lowest and highest. "
        f"Added: milliseconds beyond {DIRECT} in the same round. CPU: of the contender's own processes, PostgreSQL not "
        f"counted. Spread: how far its own rounds lie apart. {noise}"
    )
    table = Table(f"Small bodies, {connections} connection{'s' if connections > 1 else ''}", note, COLUMNS)
    for name, those in runs.items():
        ratios = [run.rate / bare.rate for run, bare in zip(those, runs[BARE], strict=True)]
        table.add(
            name,
            f"{median([run.rate for run in those]):,.0f}",
            ranged(ratios, ".2f"),
            f"{median([run.p50 for run in those]):.2f}",
            f"{median([run.p99 for run in those]):.2f}",
            *(_added(those, runs[DIRECT], which) for which in ("p50", "p99")),
            f"{median([run.cpu for run in those]):.0f}" if those[0].cpu else "-",
            spread([run.rate for run in those]),
            contender=name,
            connections=connections,
            ratios=ratios,
            rounds=[dataclasses.asdict(run) for run in those],
        )
    return table


def _added(those: Sequence[Run], direct: Sequence[Run], which: str) -> str:
    """Milliseconds beyond the direct call; with many connections waiting in line is most of it, and says little."""
    return (
        f"{median([getattr(run, which) - getattr(bare, which) for run, bare in zip(those, direct, strict=True)]):.2f}"
    )


def _noise(runs: Sequence[Run]) -> str:
    shares = [run.others for run in runs]
    return f"Others took {median(shares):.0%} of the contender's core ({max(shares):.0%} in the worst run)."
