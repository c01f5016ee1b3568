"""The processes that go by one text of the configuration, one on each socket."""

import asyncio
import logging
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress

from nijika.local.child import Child
from nijika.local.process import Orders
from nijika.metrics.together import Folder

STEADY_SECONDS = 10.0  # who lived this long did not fail at its start
START_SECONDS = 120.0  # for a process that takes another one's place; a new version's schema takes its time
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.1, 30.0  # before it is started again; twice as long after each failure in a row

log = logging.getLogger("nijika")


class Generation:
    """A process on each of the sockets, all with the same orders, which count into the same folder."""

    def __init__(self, orders: Orders, sockets: Sequence[socket.socket], folder: Folder) -> None:
        self.orders = orders
        self._places = [_Place(orders, sock, folder) for sock in sockets]

    async def start(self) -> str:
        """Return "" once all of them serve; or the words of one that could not.

        The first one goes ahead: what is wrong with the configuration is wrong before anybody is served by it.
        """
        first, *others = self._places
        failed = await first.start()
        if failed:
            return failed
        return next(filter(None, await asyncio.gather(*(place.start() for place in others))), "")

    async def keep(self) -> None:
        """Start each of them again whenever it ends; never returns."""
        await asyncio.gather(*(place.keep() for place in self._places))

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Let all of them end in peace, by one of STOPS."""
        await asyncio.gather(*(place.stop(number) for place in self._places))

    def share(self, *, shared: bool) -> None:
        """Say whether another generation may accept on the same sockets."""
        for place in self._places:
            place.is_shared = shared

    def tell(self, *, refused: bool) -> None:
        """Let all of them know whether a newer configuration was refused."""
        for place in self._places:
            place.tell(refused=refused)


class _Place:
    """One socket, and the process that is there at the moment; others may be on the socket, too, if it `is_shared`."""

    def __init__(self, orders: Orders, sock: socket.socket, folder: Folder) -> None:
        self.is_shared = False
        self._orders = orders
        self._folder = folder
        self._sock = sock
        self._refused = False
        self._child: Child | None = None

    async def start(self) -> str:
        """Return "" once a new process is there and accepts calls, else why not."""
        try:
            self._child = await Child.born(self._sock, self._folder)
        except OSError as error:  # no memory, no process left, or an upgrade is under way
            return f"No process can be started: {error.strerror}."
        failed = await self._child.obey(self._orders)
        if not failed and self._refused:
            self._child.tell(refused=True)
        return failed

    async def keep(self) -> None:
        """Start it again whenever it ends."""
        failures = 0
        while True:
            assert self._child is not None, "it was started"
            failures = 0 if await self._child.life() > STEADY_SECONDS else failures + 1
            await self._pause(f"a process {self._child.end}", failures)
            while failed := await self._start_in_time():
                self._close_to_callers()
                failures += 1
                await self._pause(failed, failures)

    async def stop(self, number: signal.Signals) -> None:
        """Let it end in peace, for as long as its configuration allows."""
        if self._child is not None:
            await self._child.stop(number)

    def tell(self, *, refused: bool) -> None:
        """Let it know, and whoever comes after it."""
        self._refused = refused
        if self._child is not None:
            self._child.tell(refused=refused)

    async def _start_in_time(self) -> str:
        """As `start`; one that hangs must not leave its callers waiting for nobody, without a word in the log."""
        try:
            async with asyncio.timeout(START_SECONDS):
                return await self.start()
        except TimeoutError:
            await self.stop(signal.SIGTERM)
            return f"A process was not ready within {START_SECONDS:g} s"

    def _close_to_callers(self) -> None:
        """Nobody will accept here for a while: the kernel is to spread callers over the others."""
        if self.is_shared:
            return  # somebody does: this ends the listening of all processes
        with suppress(OSError):  # it does not listen
            self._sock.shutdown(socket.SHUT_RD)

    async def _pause(self, what: str, failures: int) -> None:
        self._folder.crashed()
        seconds = min(PAUSE_SECONDS * 2 ** min(failures, 16), PAUSE_SECONDS_MAX)
        log.error("%s; another one is started in %g s", what, seconds)
        await asyncio.sleep(seconds)
