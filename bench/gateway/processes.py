"""Programs that run beside the bench: on their cores, measured with all of their children, and gone when it is gone."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.gateway.cores import on
from bench.gateway.programs import Unavailable
from nijika.local.privileges import Identity

STOP_SECONDS = 10.0
POLL_SECONDS = 0.01
LAST_LINES = 8
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Process:
    """A program that runs; what it says goes to `log`."""

    child: "subprocess.Popen[bytes]"
    log: Path

    def tree(self) -> list[int]:
        """The ids of it and of all that it has started."""
        parents = dict(_parents())
        found = [self.child.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def rss_kib(self) -> int:
        """The resident memory of all of them; what they share counts for each."""
        return sum(_status(pid, "VmRSS") for pid in self.tree())

    def cpu_seconds(self) -> float:
        """What all of them have used of all cores."""
        ticks = sum(int(fields[11]) + int(fields[12]) for fields in map(_stat, self.tree()) if fields)
        return ticks / os.sysconf("SC_CLK_TCK")

    def await_listening(self, port: int, seconds: float) -> None:
        """Return once it accepts connections; Unavailable if it ends before, or takes longer."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.child.poll() is not None:
                raise Unavailable(f"It ended with {self.child.returncode} while it was starting:\n{self.last_words()}")
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(POLL_SECONDS)
        raise Unavailable(f"It did not listen within {seconds:g} s:\n{self.last_words()}")

    def last_words(self) -> str:
        """The end of what it said, indented."""
        return "\n".join(f"    {line}" for line in self.log.read_text(errors="replace").splitlines()[-LAST_LINES:])

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for whatever of it is left after a while."""
        family = {pid: _born(pid) for pid in self.tree()}
        self.child.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.child.wait(STOP_SECONDS)
        for pid, born in family.items():
            if born and _born(pid) == born:  # not somebody else, who got the number since
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.child.wait()


@contextmanager
def running(
    words: Sequence[str | Path],
    *,
    cores: Collection[int],
    log: Path,
    folder: Path = ROOT,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Process]:
    """A program, by its whole path, for as long as the block runs; it ends with the bench, also by kill -9.

    Main thread only: on Linux the program ends with the thread that started it. `variables` are added to ours,
    and it starts in `folder`, or else where the bench lies.
    """
    same = Identity("same", os.geteuid(), os.getegid())
    with log.open("ab") as output, on(cores):
        child = subprocess.Popen(  # noqa: S603 (contenders, as they stand here)
            same.command(*map(str, words)),
            cwd=folder,
            env={**os.environ, **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    process = Process(child, log)
    try:
        yield process
    finally:
        process.stop()


def python(*words: str | Path) -> list[str | Path]:
    """A command of this Python."""
    return [sys.executable, *words]


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                yield int(entry.name), int(fields[1])


def _born(pid: int) -> str | None:
    fields = _stat(pid)
    return fields[19] if fields else None


def _stat(pid: int) -> list[str]:
    """Of /proc/PID/stat what follows the name, from the state on (proc(5)); nothing for who has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _status(pid: int, name: str) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    return 0
