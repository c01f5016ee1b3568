"""Several processes on one port: started together, watched, started again, and stopped together."""

import asyncio
import logging
import math
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from nijika.errors import StartError
from nijika.local.process import DATABASE, GRACE_SECONDS, LINE, READY, SOCKET, TEXT
from nijika.local.serving import STOPS

STEADY_SECONDS = 10.0  # who lived this long did not fail at its start
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.1, 30.0  # before it is started again; twice as long after each failure in a row
ROOT = Path(__file__).parents[2]

log = logging.getLogger("nijika")


@dataclass(frozen=True)
class Plan:
    """What each process is started with: the file of the configuration and its `text`, which may have changed since.

    `drain_seconds` is how long it may take to stop.
    """

    config: Path
    text: str
    data: Path
    database_url: str
    drain_seconds: float


async def supervise(plan: Plan, sockets: Sequence[socket.socket], announce: Callable[[], None]) -> None:
    """Keep a process on each of the bound sockets until one of STOPS; `announce` is called once all accept calls.

    The sockets stay open here: who connects while a process is started again waits, and is not refused. If that cannot
    be started either, the others get its callers. StartError if one of the first ends before it is ready; it has said
    why.
    """
    stop = asyncio.Event()
    for number in STOPS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    places = [_Place(plan, sock) for sock in sockets]
    try:
        started = asyncio.gather(*(place.start() for place in places))
        if not await _unless(stop, started):
            return
        if not all(started.result()):
            raise StartError("A process of the gateway did not start; its words are above.")
        announce()
        await _unless(stop, asyncio.gather(*(place.keep() for place in places)))
    finally:
        for sock in sockets:  # who comes from now on is refused, instead of waiting for nobody
            sock.close()
        await asyncio.gather(*(place.stop() for place in places))


class _Place:
    """One socket, and the process that is there at the moment."""

    def __init__(self, plan: Plan, sock: socket.socket) -> None:
        self._plan = plan
        self._sock = sock
        self._child: _Child | None = None

    async def start(self) -> bool:
        """Whether a new process is there and accepts calls."""
        try:
            self._child = await _Child.born(self._plan, self._sock)
        except OSError as error:  # no memory, no process left, or an upgrade is under way
            log.error("no process can be started: %s", error.strerror)
            return False
        return await self._child.is_ready()

    async def keep(self) -> None:
        """Start it again whenever it ends."""
        failures = 0
        while True:
            assert self._child is not None, "it was started"
            failures = 0 if await self._child.life() > STEADY_SECONDS else failures + 1
            await self._pause(failures)
            while not await self.start():
                # Nobody will accept here for a while: the kernel is to spread callers over the others.
                with suppress(OSError):  # it does not listen
                    self._sock.shutdown(socket.SHUT_RD)
                failures += 1
                await self._pause(failures)

    async def stop(self) -> None:
        """Let it end in peace, for as long as the plan allows."""
        if self._child is not None:
            await self._child.stop(self._plan.drain_seconds + GRACE_SECONDS)

    async def _pause(self, failures: int) -> None:
        seconds = min(PAUSE_SECONDS * 2 ** min(failures, 16), PAUSE_SECONDS_MAX)
        log.error("a process %s; another one is started in %g s", self._child and self._child.end, seconds)
        await asyncio.sleep(seconds)


class _Child:
    """A process, and the line on which it says that it is ready; when we are gone, it hears that there."""

    def __init__(self, process: asyncio.subprocess.Process, line: socket.socket) -> None:
        self._process = process
        self._line = line
        self._ready_at = math.inf

    @classmethod
    async def born(cls, plan: Plan, sock: socket.socket) -> Self:
        """Started with the socket; not ready yet. Raises OSError.

        In a session of its own, so that Ctrl-C reaches it through us alone, and with our own nijika, whatever lies in
        the current folder.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        inherited = {
            SOCKET: str(sock.fileno()),
            LINE: str(theirs.fileno()),
            TEXT: plan.text,
            DATABASE: plan.database_url,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        }
        command = (sys.executable, "-P", "-m", "nijika.local.process", str(plan.config), str(plan.data))
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    env={**os.environ, **inherited},
                    pass_fds=(sock.fileno(), theirs.fileno()),
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            raise
        return cls(process, ours)

    @property
    def end(self) -> str:
        """How it ended."""
        return f"({self._process.pid}) ended with {self._process.returncode}"

    async def is_ready(self) -> bool:
        """Return when it is, or has ended."""
        with suppress(ConnectionError):
            if await asyncio.get_running_loop().sock_recv(self._line, len(READY)) == READY:
                self._ready_at = time.monotonic()
                return True
        await self._process.wait()
        self._line.close()
        return False

    async def life(self) -> float:
        """Return when it has ended: for how many seconds it was ready."""
        await self._process.wait()
        self._line.close()
        return time.monotonic() - self._ready_at

    async def stop(self, seconds: float) -> None:
        """SIGTERM, and SIGKILL after so many seconds."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            log.error("process %d does not end, and is killed", self._process.pid)
            self._process.kill()
            await self._process.wait()
        self._line.close()


async def _unless(stop: asyncio.Event, work: "asyncio.Future[Any]") -> bool:
    """Wait for `work`, or for `stop`, which ends it; whether it was the work."""
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if stop.is_set():
        work.cancel()
        await asyncio.wait([work])
    elif work.done():
        work.result()
    return not stop.is_set()
