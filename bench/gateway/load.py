"""One run of wrk against one contender: how many answers, how fast, and whether they were the right ones."""

import itertools
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.gateway import cores
from bench.gateway.cores import Cores
from bench.gateway.exchange import Fields, await_quiet
from bench.gateway.ports import LOOPBACK
from bench.gateway.programs import Unavailable, debian
from bench.gateway.serving import Served

SCRIPT = Path(__file__).with_name("wrk.lua")
GRACE_SECONDS = 60
# Slow contenders have many calls waiting; that is their figure, and not an error.
TIMEOUT_SECONDS = 120

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Load:
    """What is sent: `connections` at once, each with bodies of so many bytes, for so many seconds."""

    path: str
    connections: int
    body_bytes: int
    seconds: int


@dataclass
class Run:
    """What came of it. Times in milliseconds; `cpu` is the contender's own, in microseconds for each answer.

    `others` is the share of the contender's cores that somebody else took. `wrong` are sentences; there should be none.
    """

    answers: int
    rate: float
    p50: float
    p99: float
    cpu: float
    others: float
    wrong: list[str] = field(default_factory=list)


def run(served: Served, load: Load, *, upstream: int, where: Cores, folder: Path) -> Run:
    """Load the contender, wait until it has finished what was under way, and look whether everything is right."""
    served.mark()
    query = f"run={next(_numbers)}"  # or what an earlier run left behind would be counted, too
    cpu, busy = served.cpu_seconds(), cores.busy_seconds(served.cores)
    told = _wrk(served.port, f"{served.prefix}/{load.path}?{query}", load, served.callers, where, folder)
    cpu, busy = served.cpu_seconds() - cpu, cores.busy_seconds(served.cores) - busy
    answers = int(told["answers"])
    answered = await_quiet(upstream, query)
    served.settle()
    wrong = _wrong(told, load, answered=answered)
    wrong += served.audit(answers, load.connections)
    return Run(
        answers=answers,
        rate=answers / told["seconds"],
        p50=told["p50"],
        p99=told["p99"],
        cpu=cpu / max(answers, 1) * 1e6,
        others=max(0.0, busy - cpu) / (told["seconds"] * len(served.cores)),
        wrong=wrong,
    )


def _wrk(port: int, path: str, load: Load, callers: Sequence[Fields], where: Cores, folder: Path) -> dict[str, float]:
    fields = folder / "callers"
    fields.write_text("".join("\t".join(f"{name}: {text}" for name, text in one.items()) + "\n" for one in callers))
    words = [
        *(str(debian("wrk", "wrk")), "--threads", "1", "--connections", str(load.connections)),
        *("--duration", f"{load.seconds}s", "--timeout", f"{TIMEOUT_SECONDS}s", "--script", str(SCRIPT)),
        *(f"http://{LOOPBACK}:{port}{path}", "--", str(load.body_bytes), str(fields)),
    ]
    with cores.on(where.load):
        done = subprocess.run(  # noqa: S603 (our own words)
            words, capture_output=True, text=True, check=False, timeout=load.seconds + GRACE_SECONDS
        )
    try:
        told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise Unavailable(f"wrk said: {(done.stderr or done.stdout).strip()[-200:]}") from None
    return told


def _wrong(told: dict[str, float], load: Load, *, answered: int) -> list[str]:
    """wrk counts what is refused (4xx, 5xx); the upstream's own count finds answers that never came from there."""
    wrong = []
    answers = int(told["answers"])
    if told["refused"] or told["broken"]:
        wrong.append(f"{told['refused']:.0f} of {answers} answers were no 200, {told['broken']:.0f} connections broke")
    elif not answers <= answered <= answers + load.connections:
        wrong.append(f"{answers} answers came, and the upstream gave {answered}")
    return wrong
