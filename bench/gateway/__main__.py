"""This gateway beside others, on one core each, in one run: `make bench`, or `python -m bench.gateway --help`.

    make bench                                                       # everything, about half an hour
    make bench BENCH="--only nginx nijika-priced --scenario small"   # some of it

It starts everything itself on free ports of the loopback, and leaves nothing behind: contenders (contenders/ has their
configurations), an upstream with fixed answers, PostgreSQL with fsync on, and wrk. Contenders take turns within each
round; the tables show medians, multiples of the bare aiohttp proxy of the same round, and how far rounds lie apart. On
a machine that others use, too, only multiples say something. What a contender needs and Debian lacks is installed into
bench/.cache. The status is 1 if any answer was wrong, or any charge.
"""

import argparse
import json
import resource
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.gateway import machine, ports
from bench.gateway.bench import Bench, Options, tell
from bench.gateway.contenders import BARE, CONTENDERS, DIRECT
from bench.gateway.contenders.uv import uvloop
from bench.gateway.cores import Cores
from bench.gateway.database import postgres
from bench.gateway.processes import python, running
from bench.gateway.programs import Unavailable, debian
from bench.gateway.scenarios import SCENARIOS
from bench.gateway.serving import Ground
from bench.gateway.table import Table
from nijika.errors import StartError

START_SECONDS = 10


def main() -> int:
    """Measure, print the tables, write JSON where it is asked for; 1 if something was wrong, or cannot be had."""
    arguments = _arguments()
    try:
        with _ground() as ground:
            bench = Bench(ground, Options(arguments.rounds, arguments.seconds, tuple(arguments.connections)))
            tables = list(_tables(bench, arguments))
    except (Unavailable, StartError) as error:
        tell(str(error))
        return 1
    _conclude(bench)
    if arguments.json:
        arguments.json.write_text(json.dumps(_told(bench, tables), indent=2) + "\n")
    return 1 if bench.wrong else 0


def _tables(bench: Bench, arguments: argparse.Namespace) -> Iterator[Table]:
    """Each table, printed as soon as it is there."""
    for name in dict.fromkeys((DIRECT, BARE, *arguments.only)):
        bench.enter(CONTENDERS[name])
    print(_preface(bench), flush=True)
    for name in arguments.scenario:
        for table in SCENARIOS[name](bench):
            print(table, flush=True)
            yield table


@contextmanager
def _ground() -> Iterator[Ground]:
    """What all contenders stand on."""
    debian("wrk", "wrk")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    where, port = Cores.here(), ports.free()
    with (
        tempfile.TemporaryDirectory(prefix="nijika-bench-") as directory,
        postgres(Path(directory, "database"), where) as url,
        running(
            python("-m", "bench.gateway.upstream", str(port)),
            cores=where.load,
            log=Path(directory, "upstream.log"),
            variables=uvloop(),
        ) as upstream,
    ):
        upstream.await_listening(port, START_SECONDS)
        yield Ground(Path(directory), port, url, where)


def _preface(bench: Bench) -> str:
    names = {name: " ".join(filter(None, (name, version))) for name, version in bench.versions.items()}
    lines = [f"- {names[name]}: {contender.what}" for name, contender in bench.contenders.items()]
    lines += [f"- without {name}: {sentence}" for name, sentence in bench.lacking.items()]
    return "\n".join([machine.told(), bench.ground.cores.told(), "", *lines, ""])


def _conclude(bench: Bench) -> None:
    if bench.wrong:
        print("Wrong:", *(f"- {sentence}" for sentence in bench.wrong), sep="\n")
    else:
        print("All answers were right, every one of a priced route was charged, and all ledgers add up.")


def _told(bench: Bench, tables: list[Table]) -> dict[str, object]:
    return {
        "machine": machine.told(),
        "cores": bench.ground.cores.told(),
        "options": vars(bench.options),
        "versions": bench.versions,
        "lacking": bench.lacking,
        "wrong": bench.wrong,
        "tables": [{"title": table.title, "rows": table.figures} for table in tables],
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.gateway", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=_positive, default=3, metavar="N", help="default: 3")
    parser.add_argument(
        "--seconds",
        type=_positive,
        default=3,
        metavar="N",
        help="whole ones, for each contender in each round; default: 3",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=CONTENDERS,
        default=list(CONTENDERS),
        metavar="NAME",
        help=f"{DIRECT} and {BARE}, which are always there, and of the others: {', '.join(list(CONTENDERS)[2:])}",
    )
    parser.add_argument("--scenario", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), help="default: all")
    parser.add_argument(
        "--connections", nargs="+", type=_positive, default=[1, 32, 128, 512], metavar="N", help="of small bodies"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures of all rounds there")
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
