"""Says which process owns the data of a folder, by a lock that vanishes with it, and ends what a killed owner left."""

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from nijika.errors import StartError

_WAIT_SECONDS = 20
_ORPHAN_SECONDS = {signal.SIGINT: 15, signal.SIGQUIT: 5}
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Record:
    """What the owner tells the others: `url` is empty until it accepts, `run` is its private folder."""

    pid: int
    lasting: bool
    url: str = ""
    run: str = ""

    @classmethod
    def read(cls, file: int) -> Self | None:
        """Read the record, if there is one and it is whole."""
        line, _, _ = os.pread(file, 4096, 0).partition(b"\n")
        try:
            return cls(**json.loads(line))
        except (ValueError, TypeError):
            return None

    def write(self, file: int) -> None:
        """Write in one piece, so that nobody reads half of it."""
        line = json.dumps(asdict(self)).encode() + b"\n"
        os.pwrite(file, line, 0)
        os.ftruncate(file, len(line))

    @property
    def lends(self) -> bool:
        """Whether others may use the server; the record of a killed owner stays in the file."""
        if not self.lasting:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


class Claim:
    """Ownership of the folder, or the loan of another process's server."""

    def __init__(self, file: int, *, lasting: bool) -> None:
        self._file = file
        self._lasting = lasting
        self.borrowed_url = ""
        self.left_run = ""

    def tell(self, *, run: str, url: str = "") -> None:
        """Let the others know the private folder and, once it accepts, the URL."""
        Record(os.getpid(), self._lasting, url, run).write(self._file)

    def tell_ending(self, *, run: str) -> None:
        """Lend no more: whoever comes waits for the lock."""
        Record(os.getpid(), lasting=False, run=run).write(self._file)

    def tell_nothing(self) -> None:
        """Leave no record."""
        os.ftruncate(self._file, 0)

    def settle(self, directory: Path, progress: Callable[[str], None]) -> None:
        """Own the folder or borrow from its owner, after waiting if need be; raises StartError if neither can be."""
        deadline = time.monotonic() + _WAIT_SECONDS
        waiting = False
        while not self._locked():
            owner = Record.read(self._file)
            lends = owner is not None and owner.lends
            if owner and lends and owner.url and not self._lasting:
                self.borrowed_url = owner.url
                return
            if time.monotonic() > deadline or (lends and self._lasting):
                raise StartError(_in_use(directory, owner))
            if not waiting:
                progress(f"Waiting for another nijika process that is using {directory}")
            waiting = True
            time.sleep(_POLL_SECONDS)
        left = Record.read(self._file)
        self.left_run = left.run if left else ""
        self.tell(run=self.left_run)

    def _locked(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextlib.contextmanager
def taken(directory: Path, *, lasting: bool, progress: Callable[[str], None]) -> Iterator[Claim]:
    """Claim the folder for as long as the block runs; raises StartError where a lasting owner meets a lasting one."""
    file = os.open(directory / "postgres.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        claim = Claim(file, lasting=lasting)
        claim.settle(directory, progress)
        yield claim
    finally:
        os.close(file)


def _in_use(directory: Path, owner: Record | None) -> str:
    who = f"the nijika process {owner.pid}" if owner else "another nijika process"
    return f"{directory} is in use by {who}. Stop it, or choose another folder with --data."


def cluster_name(data: Path) -> str:
    """Name the data; all processes of their server bear it in their titles, for everybody to see."""
    status = data.stat()
    return f"nijika-{status.st_dev:x}-{status.st_ino:x}"


def end_orphans(data: Path, progress: Callable[[str], None]) -> None:
    """End a server of `data` whose owner was killed, and remove a pid file which would keep the next from starting."""
    if _servers(data):
        progress("Ending the PostgreSQL server of a nijika process that was killed")
        _end_servers(data)
    _remove_stale_pid(data / "postmaster.pid")


def _end_servers(data: Path) -> None:
    for number, seconds in _ORPHAN_SECONDS.items():
        for pid, command in _servers(data).items():
            # The children end with their server; to some of them SIGINT means something else.
            if "cluster_name=" in command or number == signal.SIGQUIT:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while left := _servers(data):
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL_SECONDS)
        else:
            return
    raise StartError(f"An old PostgreSQL server of {data} does not end: process {min(left)}.")


def _remove_stale_pid(file: Path) -> None:
    # PostgreSQL itself copes with a pid that is gone, and refuses one that exists: a zombie's, or one used again.
    with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
        pid = int(file.read_text().split()[0])
        command = dict(_commands()).get(pid)
        if command is not None and not _may_serve(pid, command, file.parent):
            file.unlink()


def _may_serve(pid: int, command: str, data: Path) -> bool:
    if not re.search(r"(^|/)postgres[: \0]", command):
        return False
    try:
        return Path(f"/proc/{pid}/cwd").samefile(data)
    except OSError:
        return True


def _servers(data: Path) -> dict[int, str]:
    named = re.compile(rf"(^|/)postgres[: \0].*\b{cluster_name(data)}\b", re.DOTALL)
    return {pid: command for pid, command in _commands() if named.search(command)}


def _commands() -> Iterator[tuple[int, str]]:
    """All processes with their command lines, a zombie's being empty."""
    if sys.platform != "linux":
        listed = subprocess.run(["/bin/ps", "-axo", "pid=,command="], capture_output=True, check=True)
        for line in listed.stdout.decode(errors="replace").splitlines():
            pid, _, command = line.strip().partition(" ")
            yield int(pid), command
        return
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield int(folder.name), (folder / "cmdline").read_bytes().decode(errors="replace")
