"""A process of the gateway as its supervisor sees it: started, ready, ended, and the line between the two."""

import asyncio
import json
import logging
import math
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from nijika.local.process import GRACE_SECONDS, Orders
from nijika.metrics.together import Folder

ROOT = Path(__file__).parents[2]
LINE_BYTES_MAX = 1 << 24

log = logging.getLogger("nijika")


class Child:
    """A process, and the line to it; when we are gone, it hears that there."""

    def __init__(self, process: asyncio.subprocess.Process, line: socket.socket, folder: Folder) -> None:
        self._process = process
        self._folder = folder
        self._line = line
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._ready_at = math.inf
        self._drain_seconds = 0.0
        self._is_buried = False

    @classmethod
    async def born(cls, sock: socket.socket, folder: Folder) -> Self:
        """Started with the socket, and waiting for its orders; it counts into the folder. Raises OSError.

        In a session of its own, so that Ctrl-C reaches it through us alone, and with our own nijika, whatever lies in
        the current folder.
        """
        ours, theirs = socket.socketpair()
        numbers = sock.fileno(), theirs.fileno()
        command = (sys.executable, "-P", "-m", "nijika.local.process", *map(str, numbers))
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, **folder.environment, "PYTHONPATH": path}
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *command, env=environment, pass_fds=numbers, start_new_session=True
                )
        except BaseException:
            ours.close()
            raise
        return cls(process, ours, folder)

    @property
    def end(self) -> str:
        """How it ended."""
        return f"({self._process.pid}) ended with {self._process.returncode}"

    async def obey(self, orders: Orders) -> str:
        """Return once it serves by its orders: ""; or once it has ended, with the words that it left."""
        self._reader, self._writer = await asyncio.open_connection(sock=self._line, limit=LINE_BYTES_MAX)
        self._write(orders.write())
        told = await self._told()
        if "ready" in told:
            self._ready_at, self._drain_seconds = time.monotonic(), told["ready"]
            return ""
        await self.life()
        words: str = told.get("failed", f"A process {self.end} before it was ready; its log tells more.")
        return words

    def tell(self, *, refused: bool) -> None:
        """Let it know whether a newer configuration was refused."""
        self._write(json.dumps({"refused": refused}))

    async def life(self) -> float:
        """Return when it has ended: for how many seconds it was ready."""
        await self._process.wait()
        self._bury()
        return time.monotonic() - self._ready_at

    async def stop(self, number: signal.Signals) -> None:
        """End it by one of STOPS, or by SIGKILL when it takes longer than its configuration allows."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number if self._ready_at < math.inf else signal.SIGTERM)
        try:
            async with asyncio.timeout(self._drain_seconds + GRACE_SECONDS):
                await self._process.wait()
        except TimeoutError:
            log.error("process %d does not end, and is killed", self._process.pid)
            self._process.kill()
            await self._process.wait()
        self._bury()

    async def _told(self) -> dict[str, Any]:
        """The next thing that it says; nothing if it has ended."""
        assert self._reader is not None, "it has its orders"
        with suppress(ConnectionError):
            if line := await self._reader.readline():
                told: dict[str, Any] = json.loads(line)
                return told
        return {}

    def _write(self, text: str) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(text.encode() + b"\n")

    def _bury(self) -> None:
        """Both who waits for its end and who stops it come here."""
        if self._is_buried:
            return
        self._is_buried = True
        self._folder.ended(self._process.pid)
        if self._writer is not None:
            self._writer.close()
        self._line.close()
