"""A real PostgreSQL of a test's own, at a fixed address: it may be stopped, crashed and started again."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path

from nijika.local.postgres import running
from tests.crash import ports
from tests.crash.plan import LOOPBACK


class PostgresServer:
    """One server, started and stopped in the main thread; `url` is its address, also while it is away."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = ports.free()
        self._life = ExitStack()
        self.url = f"postgresql://nijika@{LOOPBACK}:{self._port}/nijika"

    def start(self) -> None:
        """Start it on the data that it had, and wait until it serves."""
        # Without fsync the data survive the server's end, though not the machine's.
        settings = {"listen_addresses": LOOPBACK, "port": str(self._port), "fsync": "off"}
        self._life.enter_context(running(self._directory, lasting=False, settings=settings))

    def stop(self) -> None:
        """End it in the fast mode: sessions are told, and cut (SIGINT)."""
        self._life.close()

    def crash(self) -> None:
        """End it in the immediate mode, which leaves all to recovery (SIGQUIT)."""
        pid = int((self._directory / "postgres" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        self._life.close()
