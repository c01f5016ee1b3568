"""The command line: `python -m tests.crash [--seconds 40] [--seed N] [--gateways 2] [--broken NAME]`."""

import argparse
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.crash.broken import BROKEN
from tests.crash.plan import Plan
from tests.crash.run import run


def main() -> int:
    """Run once; 0 if everything held. What the processes wrote is kept where it did not."""
    plan = _plan()
    # Whoever ends the run by SIGTERM shall not be left with its gateways.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    print(f"seed {plan.seed}: {plan.gateways} gateways, {plan.callers} callers, {plan.seconds:g} s", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="nijika-crash-"))
    is_good = False
    try:
        report = run(plan, directory)
        print(report)
        is_good = report.is_good
    finally:
        if is_good:
            shutil.rmtree(directory)
        else:
            print(f"The logs are in {directory}. Once more: --seed {plan.seed}", file=sys.stderr)
    return 0 if is_good else 1


def _plan() -> Plan:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description="Does the money add up, whatever dies?")
    parser.add_argument("--seconds", type=float, default=Plan.seconds, help="how long callers call; default: 40")
    parser.add_argument("--seed", type=int, help="decides calls, faults and accidents; default: a new one")
    parser.add_argument("--gateways", type=int, default=Plan.gateways, metavar="N", help="default: 2")
    parser.add_argument("--broken", choices=sorted(BROKEN), help="with a ledger that has this mistake")
    given = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    return Plan(seed=seed, seconds=given.seconds, gateways=given.gateways, broken=given.broken)


if __name__ == "__main__":
    sys.exit(main())
