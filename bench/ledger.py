"""How many charges a second a ledger takes, and how long a hold and a settlement wait: `make bench-ledger`.

A charge is a hold and a settlement, each committed (fsync on) before the next step. Contenders run one after the other
in each round, on one PostgreSQL with tables of their own; the table shows medians over the rounds and their ratios.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.charges import Load, Run, check, measure, prepare, run_one
from nijika.local.postgres import running

CONTENDERS = ("batches", "statements", "transactions")


def main() -> None:
    """Measure, print the table, write JSON where it is asked for."""
    arguments = _arguments()
    print(_machine(), file=sys.stderr)
    # PostgreSQL's own way to make a commit wait: what a disk does whose flush takes this long.
    slow = {"commit_delay": str(int(arguments.flush_ms * 1000)), "commit_siblings": "0"}
    with (
        tempfile.TemporaryDirectory(dir=arguments.directory) as directory,
        running(Path(directory), lasting=True, settings=slow if arguments.flush_ms else {}) as url,
    ):
        if arguments.flat:
            _show_flat(url, arguments.flat)
            return
        results = {load: _measured(url, load, arguments) for load in _loads()}
    print(_table(results))
    if arguments.json:
        told = [{"load": vars(load), "contenders": result} for load, result in results.items()]
        arguments.json.write_text(json.dumps({"machine": _machine(), "results": told}, indent=2) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.ledger", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    parser.add_argument("--seconds", type=float, default=2, help="for each contender in each round; default: 2")
    parser.add_argument("--flat", type=float, metavar="SECONDS", help="only the batches, second by second, for so long")
    parser.add_argument(
        "--flush-ms", type=float, default=0, metavar="N", help="as on a disk that takes longer to flush"
    )
    parser.add_argument("--directory", type=Path, help="where PostgreSQL keeps its data; the disk counts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args()


def _loads() -> Iterator[Load]:
    for accounts in (1, 1000):
        for processes in (1, 2):
            for in_flight in (1, 16, 64, 256):
                if in_flight >= processes:
                    yield Load(accounts, processes, in_flight)


def _measured(url: str, load: Load, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    runs: dict[str, list[Run]] = {name: [] for name in CONTENDERS}
    for _ in range(arguments.rounds):
        for name in CONTENDERS:
            asyncio.run(prepare(url, load.accounts))
            runs[name].append(measure(url, name, load, arguments.seconds))
            asyncio.run(check(url))
    print(f"{load} done", file=sys.stderr)
    return {name: _figures(of_contender) for name, of_contender in runs.items()}


def _figures(runs: list[Run]) -> dict[str, float]:
    rates = [run.charges / run.seconds for run in runs]
    return {
        "charges": statistics.median(rates),
        "lowest": min(rates),
        "highest": max(rates),
        "hold_p50": statistics.median(_quantile(run.holds, 50) for run in runs),
        "hold_p99": statistics.median(_quantile(run.holds, 99) for run in runs),
        "settle_p50": statistics.median(_quantile(run.settlements, 50) for run in runs),
        "settle_p99": statistics.median(_quantile(run.settlements, 99) for run in runs),
    }


def _quantile(milliseconds: list[float], percent: int) -> float:
    ordered = sorted(milliseconds)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def _table(results: dict[Load, dict[str, dict[str, float]]]) -> str:
    lines = [
        "| accounts | processes | in flight | contender | charges/s (lowest-highest) | ratio | hold ms | settle ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for load, contenders in results.items():
        for name, figures in contenders.items():
            ratio = figures["charges"] / contenders["statements"]["charges"]
            lines.append(
                f"| {load.accounts} | {load.processes} | {load.in_flight} | {name} "
                f"| {figures['charges']:,.0f} ({figures['lowest']:,.0f}-{figures['highest']:,.0f}) | {ratio:.2f} "
                f"| {figures['hold_p50']:.2f} / {figures['hold_p99']:.2f} "
                f"| {figures['settle_p50']:.2f} / {figures['settle_p99']:.2f} |"
            )
    return "\n".join(lines)


def _show_flat(url: str, seconds: float) -> None:
    """Second by second, on one account: tables that bloat show as a rate that falls."""
    asyncio.run(prepare(url, 1))
    rates = []
    for number in range(int(seconds)):
        run = asyncio.run(run_one(url, "batches", 1, 256, 1))
        rates.append(run.charges / run.seconds)
        print(f"{number + 1:4} s  {rates[-1]:8,.0f} charges/s")
    asyncio.run(check(url))
    quarter = max(1, len(rates) // 4)
    print(f"last quarter / first quarter: {sum(rates[-quarter:]) / sum(rates[:quarter]):.2f}")


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
