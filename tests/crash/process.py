"""Processes of the run: modules of this Python, each with a file for what it says."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
_END_SECONDS = 20


def start(log: Path, *words: str) -> "subprocess.Popen[bytes]":
    """Start `python -m words…` with a pipe as its input; what it says goes to `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", *words], cwd=ROOT, stdin=subprocess.PIPE, stdout=output, stderr=output
        )


@contextmanager
def running(log: Path, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that ends when its input does: with the block, and by whatever death this process dies."""
    process = start(log, *words)
    try:
        yield process
    finally:
        finish(process)


def finish(process: "subprocess.Popen[bytes]") -> None:
    """Close its input and wait; kill it where that is not enough."""
    assert process.stdin
    process.stdin.close()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        kill(process)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill -9, and wait for the end."""
    process.kill()
    process.wait()
    assert process.stdin
    process.stdin.close()


def last_words(log: Path) -> str:
    """The end of what a process said."""
    return "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-8:])
