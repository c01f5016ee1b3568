"""An upstream that does to each request what the test has planned, byte for byte, and remembers all of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.peers.exchange import Behaviour, Exchange
from tests.peers.patience import within
from tests.peers.seen import Seen, parse_head
from tests.peers.wire import Wire

LOOPBACK = "127.0.0.1"


class Upstream:
    """Listens on a free loopback port; `seen` holds each request in the order in which its head came."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.fragments: list[bytes] = []
        """What came instead of a whole request head."""
        self.connections = 0
        self.url = ""
        self._plans: dict[str, list[Behaviour]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wires: set[Wire] = set()
        self._failures: list[Exception] = []
        self._changed = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def start(cls, port: int = 0) -> AsyncIterator["Upstream"]:
        """Serves until the block ends, then drops every connection; a bug in a behaviour fails the test."""
        upstream = cls()
        server = await asyncio.get_running_loop().create_server(upstream._wire, LOOPBACK, port)
        upstream.url = f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
        try:
            yield upstream
        finally:
            server.close()
            await upstream._stop()
        if upstream._failures:
            raise ExceptionGroup("behaviours of the upstream failed", upstream._failures)

    def plan(self, path: str, *behaviours: Behaviour) -> None:
        """Treats the next requests for a path one after the other like this, the last behaviour for good.

        The path is compared raw and without its query; "*" stands for every path that has no plan of its own.
        """
        self._plans[path] = list(behaviours)

    async def until(self, happened: Callable[[], bool], what: str = "the upstream to see it") -> None:
        """Waits until the records say so; AssertionError when they never do."""
        async with within(what):
            while not happened():
                self._changed.clear()
                await self._changed.wait()

    async def request(self, count: int = 1) -> Seen:
        """Waits for the count-th request's head and gives its record."""
        await self.until(lambda: len(self.seen) >= count, f"request {count} at the upstream")
        return self.seen[count - 1]

    def _wire(self) -> Wire:
        self.connections += 1
        return Wire(self.connections, self._start_serving, self._wires, self._changed.set)

    def _start_serving(self, wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(wire, reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(0)
        try:
            while seen := await self._head(wire, reader):
                if not await self._treat(Exchange(seen, reader, writer, wire.left, self._changed.set)):
                    break
        except ConnectionError:
            pass
        except Exception as error:  # whatever it is, the test must hear of it
            self._failures.append(error)
        finally:
            writer.close()

    async def _head(self, wire: Wire, reader: asyncio.StreamReader) -> Seen | None:
        try:
            seen = parse_head(wire.number, await reader.readuntil(b"\r\n\r\n"))
        except asyncio.IncompleteReadError as error:
            self.fragments += [error.partial] if error.partial else []
            return None
        self.seen.append(seen)
        wire.seen = seen
        self._changed.set()
        return seen

    async def _treat(self, exchange: Exchange) -> bool:
        await self._behaviour(exchange.seen.path)(exchange)
        if not exchange.seen.finished or exchange.last or exchange.writer.is_closing():
            return False
        await exchange.read_all()
        return True

    def _behaviour(self, path: str) -> Behaviour:
        planned = self._plans.get(path) or self._plans.get("*") or [unplanned]
        return planned.pop(0) if len(planned) > 1 else planned[0]

    async def _stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for wire in list(self._wires):
            wire.abort()
        async with within("the upstream's connections to close"):
            while self._wires:
                self._changed.clear()
                await self._changed.wait()


async def unplanned(exchange: Exchange) -> None:
    """A path without a plan is not found."""
    await exchange.read_all()
    await exchange.send_head(404, [("Content-Length", "0")])
    exchange.finish()
