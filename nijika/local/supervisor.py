"""One or several processes on one port: started together, watched, exchanged for others, and stopped together.

The sockets stay open here: who connects while a process is started again, or exchanged, waits and is not refused.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from nijika.errors import StartError
from nijika.local import control
from nijika.local.generation import START_SECONDS, Generation
from nijika.local.process import Orders
from nijika.local.serving import RETIRE
from nijika.metrics.together import Folder

log = logging.getLogger("nijika")


async def supervise(orders: Orders, sockets: Sequence[socket.socket], announce: Callable[[], None]) -> None:
    """Keep a process on each of the bound sockets until SIGINT or SIGTERM; `announce` is called once all accept calls.

    SIGHUP, and `nijika reload`, exchange them for others that go by what the configuration's file says then. StartError
    if one of the first ends before it is ready.
    """
    with Folder() as folder:
        supervisor = Supervisor(orders, sockets, folder)
        stop = _signals(supervisor)
        try:
            async with control.answering(orders.data, supervisor.reload):
                await _unless(stop, supervisor.run(announce))
        finally:
            for sock in sockets:  # who comes from now on is refused, instead of waiting for nobody
                sock.close()
            await supervisor.stop()


class Supervisor:
    """The generation of processes that serves, and those that come and go beside it."""

    def __init__(self, orders: Orders, sockets: Sequence[socket.socket], folder: Folder) -> None:
        self._sockets = sockets
        self._folder = folder
        self._current = Generation(orders, sockets, folder)
        self._alive = {self._current}
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._reloads: set[asyncio.Task[str]] = set()
        self._retiring: set[asyncio.Task[None]] = set()

    async def run(self, announce: Callable[[], None]) -> None:
        """Start the first processes, and keep whichever serve. StartError if the first cannot start."""
        async with self._turn:
            failed = await self._current.start()
            if failed:
                raise StartError(failed)
        announce()
        while True:
            self._changed.clear()
            await _unless(self._changed, self._current.keep())

    def reload(self) -> "asyncio.Task[str]":
        """Exchange the processes; gives "", or why the old ones go on: what is wrong changes nothing."""
        task = asyncio.create_task(self._reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)
        return task

    async def stop(self) -> None:
        """Let all processes end in peace."""
        if reloads := set(self._reloads):
            for task in reloads:
                task.cancel()
            await asyncio.wait(reloads)
        await asyncio.gather(*(generation.stop() for generation in self._alive))

    async def _reload(self) -> str:
        async with self._turn:
            orders = self._current.orders
            failed = ""
            try:
                orders = replace(orders, text=orders.config.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                failed = f"{orders.config} cannot be read: {getattr(error, 'strerror', None) or error}."
            failed = failed or await self._exchange(orders)
            if failed:
                log.error("reload refused; the gateway goes on as before. %s", failed)
                self._current.tell(refused=True)
            else:
                log.info("reloaded %s", orders.config)
            self._folder.reloaded(ok=not failed)
            return failed

    async def _exchange(self, orders: Orders) -> str:
        new = Generation(orders, self._sockets, self._folder)
        self._alive.add(new)
        self._current.share(shared=True)
        try:
            async with asyncio.timeout(START_SECONDS):
                failed = await new.start()
        except TimeoutError:
            failed = f"The new processes were not ready within {START_SECONDS:g} s."
        old = new
        if failed:
            self._current.share(shared=False)
        else:
            self._current, old = new, self._current
            self._changed.set()
        retiring = asyncio.create_task(self._retire(old))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)
        return failed

    async def _retire(self, generation: Generation) -> None:
        await generation.stop(RETIRE)
        self._alive.discard(generation)


def _signals(supervisor: Supervisor) -> asyncio.Event:
    """What is set by a signal to stop; SIGHUP reloads, unless it says that the terminal was closed."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    follows_terminal = _has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN

    def hang_up() -> None:
        if follows_terminal and not _has_terminal():
            stop.set()
        elif not stop.is_set():
            supervisor.reload()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # it may have come before anybody could hear it
    return stop


def _has_terminal() -> bool:
    with suppress(OSError):
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
        return True
    return False


async def _unless(event: asyncio.Event, work: Coroutine[Any, Any, object]) -> None:
    """Wait for `work`, or for `event`, which ends it."""
    working, happened = asyncio.create_task(work), asyncio.create_task(event.wait())
    try:
        await asyncio.wait([working, happened], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (working, happened):
            task.cancel()
        await asyncio.wait([working, happened])
