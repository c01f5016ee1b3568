"""A real gateway in a fresh folder, as `nijika init` leaves it but for a few lines, and what its processes take."""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
END_SECONDS = 90
_COMPLAINT = re.compile("WARNING|ERROR|CRITICAL|Traceback|Error")
_STAMP = re.compile(r"^[-0-9]+ [:,0-9]+ ")
_PAGE_BYTES = 4096
UNLIMITED = {'limit = "20/s", burst = 60': 'limit = "100000/s"', 'limit = "5/s", burst = 10': 'limit = "100000/s"'}
"""Changes of the shipped config.toml for whoever calls more often than its rate limits allow."""
_NIJIKA = (sys.executable, "-m", "nijika")


@dataclass(frozen=True)
class Gateway:
    """A running one; `log` is what it says."""

    url: str
    folder: Path
    process: "subprocess.Popen[str]"
    log: Path

    def customer(self, name: str = "good", credits: int = 1_000_000) -> str:
        """The key of a new account."""
        words = ("user", "add", name, "--json", "--credits", str(credits))
        made: dict[str, Any] = json.loads(_run(*words, "--config", str(self.folder / "config.toml")))
        key: str = made["api_key"]
        return key

    def verify(self) -> str:
        """What `nijika ledger verify` says, in a line; SystemExit if the money does not add up."""
        counts = _run("ledger", "verify", "--config", str(self.folder / "config.toml")).splitlines()
        return f"ledger verify: {len(counts)} invariants, none violated"

    def rss_mb(self) -> float:
        """Resident memory of the processes that serve, in MB (10^6 bytes)."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids())
        return pages * _PAGE_BYTES / 1e6

    def descriptors(self) -> int:
        """How many files and sockets they have open."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.pids())

    def pids(self) -> list[int]:
        """The processes that serve: those of a supervisor, or else the one that was started."""
        main = self.process.pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        serving = [pid for pid in map(int, children) if "nijika.local.process" in _command(pid)]
        return serving or [main]

    def complaints(self) -> list[str]:
        """What its log says beside its requests, each line once, with how often it came."""
        lines = (_STAMP.sub("", line) for line in self.log.read_text(errors="replace").splitlines())
        counts = Counter(line.partition(" request_id=")[0] for line in lines if _COMPLAINT.search(line))
        return [f"{count} x {line}" for line, count in counts.items()]


def initialised(folder: Path, changes: Mapping[str, str], more: str = "") -> Path:
    """A config.toml as `nijika init` makes it, on a free port, with each text of `changes` in place of another."""
    _run("init", str(folder))
    file = folder / "config.toml"
    text = file.read_text()
    for old, new in {"port = 8080\n": "port = 0\n", **changes}.items():
        if old not in text:
            raise SystemExit(f"config.toml has no {old}")
        text = text.replace(old, new)
    file.write_text(text + more)
    return file


@contextmanager
def served(file: Path) -> Iterator[Gateway]:
    """A gateway of this configuration, until the block ends."""
    log = file.with_suffix(".log")
    words = [*_NIJIKA, "serve", "--config", str(file)]
    with (
        log.open("w") as said,
        subprocess.Popen(  # noqa: S603 (nothing of a stranger's is in it)
            words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        ) as process,
    ):
        try:
            assert process.stdout
            line = process.stdout.readline()
            found = re.match(r"listening on (\S+)", line)
            if found is None:
                raise SystemExit(f"the gateway did not start: {line}{log.read_text()}")
            yield Gateway(found[1], file.parent, process, log)
        finally:
            _end(process)


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _run(*words: str) -> str:
    done = subprocess.run(  # noqa: S603 (as above)
        [*_NIJIKA, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"nijika {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
