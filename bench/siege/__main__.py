"""`python -m bench.siege slow|soak|addresses|revocations`: a real gateway under what it has to bear, for minutes."""

import argparse
import asyncio
import resource
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from bench.siege import addresses, revocations, slow, soak


def main() -> int:
    """The exit status: 0 if everything was as it should be."""
    _raise_descriptors()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nobody is left behind
    arguments = _parser().parse_args()
    work: Coroutine[Any, Any, bool] = arguments.run(arguments)
    return 0 if asyncio.run(work) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.siege", description=__doc__)
    parser.add_argument("--processes", type=int, default=2, help="of the gateway; default: 2")
    kinds = parser.add_subparsers(required=True, metavar="KIND")
    _add_slow(kinds.add_parser("slow", help="slow heads, bodies and readers, by slowhttptest"))
    _add_soak(kinds.add_parser("soak", help="mixed traffic, and what is held before and after it"))
    _add_addresses(
        kinds.add_parser("addresses", help="callers by the hundred thousand, and what remembering them takes")
    )
    _add_revocations(kinds.add_parser("revocations", help="how long a revoked key is good elsewhere"))
    return parser


def _add_slow(parser: argparse.ArgumentParser) -> None:
    names = [siege.name for siege in slow.SIEGES]
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=slow.RATE, help="new connections a second")
    parser.add_argument("--only", nargs="+", default=names, choices=names)
    parser.set_defaults(run=lambda given: slow.main(given.connections, given.rate, given.processes, given.only))


def _add_soak(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.set_defaults(run=lambda given: soak.main(given.seconds, given.processes))


def _add_addresses(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, default=300_000)
    parser.set_defaults(run=lambda given: addresses.main(given.count, given.processes))


def _add_revocations(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, default=200)
    parser.set_defaults(run=lambda given: revocations.main(given.count, given.processes))


def _raise_descriptors() -> None:
    """A thousand callers and as many calls to workers take more than a shell's usual 1024."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    raise SystemExit(main())
