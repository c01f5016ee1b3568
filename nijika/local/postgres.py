"""The PostgreSQL that comes with nijika: laid out at its first use, running for as long as a block of code needs it."""

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import IO, NoReturn
from urllib.parse import quote

from nijika.errors import StartError
from nijika.local import claim, programs
from nijika.local.claim import Claim
from nijika.local.programs import Programs
from nijika.local.watch import together

_START_SECONDS = 120
_STOP_SECONDS = 30
_QUIT_SECONDS = 5
_POLL_SECONDS = 0.005
_LOG_BYTES_MAX = 4 << 20
_SOCKET_BYTES_MAX = 103  # macOS; Linux has 107

_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    # Errors of statements reach whoever sent them; the log is for the server's own troubles, and stays small.
    "log_min_messages": "log",
    "log_checkpoints": "off",
}


def _silent(_line: str) -> None: ...


@contextlib.contextmanager
def running(
    directory: Path,
    *,
    lasting: bool,
    settings: Mapping[str, str] = MappingProxyType({}),
    progress: Callable[[str], None] = _silent,
) -> Iterator[str]:
    """PostgreSQL on `directory`/postgres for as long as the block runs; yields its URL.

    Enter it in the main thread: on Linux the server ends with the thread that started it, even by kill -9. While a
    `lasting` process owns the folder, short ones borrow its server. `settings` are those of postgresql.conf, for a
    server that this block starts. Raises StartError.
    """
    directory = directory.absolute()
    with _orderly_on_sigterm(), contextlib.ExitStack() as stack:
        with _explained(directory):
            directory.mkdir(parents=True, exist_ok=True)
            held = stack.enter_context(claim.taken(directory, lasting=lasting, progress=progress))
            url = held.borrowed_url or stack.enter_context(_owned(directory, held, settings, progress, lasting=lasting))
        yield url


@contextlib.contextmanager
def _owned(
    directory: Path, held: Claim, settings: Mapping[str, str], progress: Callable[[str], None], *, lasting: bool
) -> Iterator[str]:
    data = directory / "postgres"
    with _private_folder(held) as run:
        use = programs.prepare(run, _owner(data))
        programs.remove_halves(data)
        if not programs.version(data):
            progress(f"Creating the database in {directory}")
            use.lay_out(data, durable=settings.get("fsync") != "off")
        use.adopt(data)
        claim.end_orphans(data, progress)
        with _server(use, directory, run, settings) as (child, url), contextlib.ExitStack() as watch:
            if lasting:
                watch.enter_context(together(child, f"PostgreSQL ended by itself; see {directory / 'postgres.log'}."))
            held.tell(run=str(run), url=url)
            try:
                yield url
            finally:
                held.tell_ending(run=str(run))


@contextlib.contextmanager
def _private_folder(held: Claim) -> Iterator[Path]:
    if re.fullmatch("nijika-[0-9a-f]{12}", Path(held.left_run).name):
        shutil.rmtree(held.left_run, ignore_errors=True)
    run = _socket_place() / f"nijika-{secrets.token_hex(6)}"
    # Told before it exists: whoever comes after a kill -9 knows what to remove.
    held.tell(run=str(run))
    try:
        run.mkdir(mode=0o700)
        yield run
    finally:
        shutil.rmtree(run, ignore_errors=True)
        held.tell_nothing()


def _socket_place() -> Path:
    # Not XDG_RUNTIME_DIR, which vanishes when the user logs out, under a server that goes on.
    room = _SOCKET_BYTES_MAX - len("/nijika-000000000000/.s.PGSQL.5432")
    for place in ("/tmp", tempfile.gettempdir(), "/var/tmp"):  # noqa: S108 - a folder with a random name, open to us only
        if len(os.fsencode(place)) <= room and os.access(place, os.W_OK | os.X_OK):
            return Path(place)
    raise StartError("No folder for PostgreSQL's socket: neither /tmp nor $TMPDIR is both writable and short.")


def _owner(data: Path) -> tuple[int, int] | None:
    try:
        status = data.stat()
    except FileNotFoundError:
        return None
    return status.st_uid, status.st_gid


@contextlib.contextmanager
def _server(
    use: Programs, directory: Path, run: Path, settings: Mapping[str, str]
) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    log = directory / "postgres.log"
    every = _SETTINGS | {
        "unix_socket_directories": str(run),
        "cluster_name": claim.cluster_name(directory / "postgres"),
    }
    words = [word for name, value in (every | dict(settings)).items() for word in ("-c", f"{name}={value}")]
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(_log(log))
        told = log.stat().st_size
        with programs.signals_held():
            child = use.start("postgres", *words, data=directory / "postgres", log=output)
            stack.callback(_stop, child)
        _await_ready(child, directory, told)
        yield child, f"postgresql://nijika@/nijika?host={quote(str(run), safe='')}&port=5432"


def _log(file: Path) -> IO[bytes]:
    file.touch(mode=0o600)
    if file.stat().st_size > _LOG_BYTES_MAX:
        os.truncate(file, 0)
    return file.open("ab")


def _await_ready(child: subprocess.Popen[bytes], directory: Path, told: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _ready(child.pid, directory / "postgres"):
        if child.poll() is not None:
            lines = (directory / "postgres.log").read_bytes()[told:].decode(errors="replace")
            raise StartError(f"PostgreSQL ended while it was starting in {directory}:\n{programs.last_lines(lines)}")
        if time.monotonic() > deadline:
            raise StartError(f"PostgreSQL did not start within {_START_SECONDS} seconds; see {directory}/postgres.log.")
        time.sleep(_POLL_SECONDS)


def _ready(pid: int, data: Path) -> bool:
    # The eighth line is where pg_ctl looks, too.
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return lines[:1] == [str(pid)] and [line.strip() for line in lines[7:8]] == ["ready"]


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End it the fast way, and where that takes too long or is interrupted, the immediate one."""
    try:
        with _orderly_on_sigterm(), contextlib.suppress(subprocess.TimeoutExpired):
            child.send_signal(signal.SIGINT)
            child.wait(_STOP_SECONDS)
    finally:
        for number in (signal.SIGQUIT, signal.SIGKILL):
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.send_signal(number)
                child.wait(_QUIT_SECONDS)


@contextlib.contextmanager
def _explained(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StartError(f"{directory} cannot hold the database: {error.strerror}.") from error


@contextlib.contextmanager
def _orderly_on_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind the stack as Ctrl-C does, unless somebody else handles it."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
