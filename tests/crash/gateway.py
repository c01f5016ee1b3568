"""One gateway: a real process of one, started again whenever it ends, and judged by how it ended."""

import asyncio
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from tests.crash import process
from tests.crash.database import Database

_POLL_SECONDS = 0.02
_START_SECONDS = 30
_STOP_SECONDS = 15
_FENCED_SECONDS = 10  # after it was resumed a gateway may find that others took it for dead, and end


class Gateway:
    """The gateway of `file` (its config.toml) on `port`; `words` is the command. `events` counts what happened to it.

    `failures` tells in sentences what it must not do: end by itself, or not start although the database is there.
    """

    def __init__(self, file: Path, port: int, words: tuple[str, ...], database: Database) -> None:
        self.port = port
        self.events: Counter[str] = Counter()
        self.failures: list[str] = []
        self.started_at = 0.0
        self._file = file
        self._words = (*words, "--config", str(file), "--data", str(file.with_suffix("")))
        self._database = database
        self._process: subprocess.Popen[bytes] | None = None
        self._log = file
        self._was_killed = False
        self._resumed_at = float("-inf")

    @property
    def serves(self) -> bool:
        """Whether it has said that it listens."""
        # At the beginning of a line: tracebacks quote the program.
        return (
            self._process is not None and re.search(b"^listening on ", self._log.read_bytes(), re.MULTILINE) is not None
        )

    async def live(self) -> None:
        """Start it again and again, until cancelled; killed then, if it was not stopped before."""
        try:
            while True:
                self._start()
                self._judge(await self._end())
        finally:
            if self._process is not None:
                process.kill(self._process)

    async def ready(self) -> None:
        """Wait until it serves."""
        async with asyncio.timeout(_START_SECONDS):
            while not self.serves:
                await asyncio.sleep(_POLL_SECONDS)

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process
        self._was_killed = True
        self._process.kill()
        self.events["kills"] += 1

    async def pause(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so long."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)
        self.events["pauses"] += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self._process.send_signal(signal.SIGCONT)
            self._resumed_at = time.monotonic()

    async def stop(self) -> None:
        """SIGTERM; it is a failure not to end well then."""
        stopped, self._process = self._process, None
        assert stopped
        stopped.terminate()
        try:
            status = await asyncio.to_thread(stopped.wait, _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            status = None
        process.kill(stopped)
        if status != 0:
            self._fail(f"ended with {status} when it was stopped")

    def _start(self) -> None:
        self._log = self._file.with_suffix(f".{self.events['starts']}.log")
        self._process = process.start(self._log, *self._words)
        self.started_at = time.monotonic()
        self.events["starts"] += 1
        self._was_killed, self._resumed_at = False, float("-inf")

    async def _end(self) -> int:
        while self._process is None or self._process.poll() is None:
            await asyncio.sleep(_POLL_SECONDS)
        assert self._process.stdin
        self._process.stdin.close()
        assert self._process.returncode is not None
        return self._process.returncode

    def _judge(self, status: int) -> None:
        if self._was_killed:
            return
        if status == 1 and time.monotonic() < self._resumed_at + _FENCED_SECONDS:
            self.events["fenced"] += 1
        elif not self.serves and self._database.was_away(since=self.started_at):
            self.events["starts without database"] += 1
        else:
            self._fail(f"ended by itself with {status}")

    def _fail(self, what: str) -> None:
        self.failures.append(f"{self._log.stem} {what}; its last words:\n{process.last_words(self._log)}")
