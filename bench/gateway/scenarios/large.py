"""Large bodies, 2 MiB in and 2 MiB out: how much flows in a second."""

import dataclasses
from collections.abc import Iterator

from bench.gateway.bench import Bench
from bench.gateway.contenders import BARE
from bench.gateway.load import Load
from bench.gateway.sizes import LARGE_BYTES, MIB
from bench.gateway.table import Table, median, ranged, spread

CONNECTIONS = 8
NGINX = "nginx"


def measure(bench: Bench) -> Iterator[Table]:
    """One table."""
    with bench.everybody(warm=False) as served:
        runs = bench.rounds(served, Load("large", CONNECTIONS, LARGE_BYTES, bench.options.seconds))
    other = NGINX if NGINX in runs else BARE
    note = f"Medians of {bench.options.rounds} rounds; both directions together. x {other}: within one round."
    title = f"Bodies of {LARGE_BYTES // MIB} MiB both ways, {CONNECTIONS} connections"
    table = Table(title, note, ("contender", "MiB/s", f"x {other}", "spread"))
    for name, those in runs.items():
        flows = [run.rate * 2 * LARGE_BYTES / MIB for run in those]
        ratios = [run.rate / max(one.rate, 1e-9) for run, one in zip(those, runs[other], strict=True)]
        table.add(
            name,
            f"{median(flows):,.0f}",
            ranged(ratios, ".2f"),
            spread(flows),
            contender=name,
            mib_per_second=flows,
            ratios=ratios,
            rounds=[dataclasses.asdict(run) for run in those],
        )
    yield table
