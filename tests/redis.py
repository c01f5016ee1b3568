"""A real Redis of a test's own, on a free loopback port: it keeps nothing, and may be stopped, frozen, restarted."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nijika.local.privileges import Identity
from tests.providers.lacking import lack

PROGRAMS = ("redis-server", "valkey-server")
START_SECONDS = 20.0


class RedisServer:
    """One process; `url` is its address, also while it is away."""

    def __init__(self, program: str, directory: Path) -> None:
        self._program, self._directory = program, directory
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self._port = sock.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, without any data; it ends with this process, whatever ends that."""
        words = ["--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self._directory)]
        words += ["--save", "", "--appendonly", "no", "--daemonize", "no"]
        command = Identity("same", os.geteuid(), os.getegid()).command(self._program, *words)
        with (self._directory / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait()

    def stop(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It stays there, takes connections, and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it was."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self._port), timeout=1) as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(16).startswith(b"+PONG"):
                        return
            except OSError:
                pass
            time.sleep(0.01)
        raise AssertionError(f"Redis did not start:\n{(self._directory / 'redis.log').read_text()}")


def program() -> str:
    """The path of a Redis, or of a Valkey."""
    path = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if path is None:
        lack("There is no redis-server here; on Debian: apt-get install redis-server.")
    return path


@pytest.fixture
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that runs."""
    server = RedisServer(program(), tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()
