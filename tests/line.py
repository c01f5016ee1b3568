"""The line between a gateway and PostgreSQL, in a test's hands: answers are held back, connections and the line cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

READ_BYTES = 65_536


class Line:
    """Leads from `url` to the database of `database_url`."""

    def __init__(self, database_url: str) -> None:
        behind = urlsplit(database_url)
        self.url = ""
        self.held_bytes = 0
        """What PostgreSQL said and nobody heard yet."""
        self.refused = 0
        """Tries to connect while the line was cut."""
        self._socket = f"{parse_qs(behind.query)['host'][0]}/.s.PGSQL.5432"
        self._place = f"{behind.username}@127.0.0.1:{{}}{behind.path}"
        self._server: asyncio.Server | None = None
        self._port = 0
        self._calls: dict[asyncio.Task[None], asyncio.Event] = {}
        self._is_cut = False

    async def open(self) -> None:
        """Let connections through."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        self.url = f"postgresql://{self._place.format(self._port)}"

    async def close(self) -> None:
        """Cut the connections that there are, and listen for no others."""
        assert self._server is not None
        self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """Cut the connections that there are, and hang up on others."""
        self._is_cut = True
        for call in self._calls:
            call.cancel()
        if self._calls:
            await asyncio.wait(self._calls)

    def mend(self) -> None:
        """Let connections through again."""
        self._is_cut = False

    def hold(self) -> None:
        """On the connections that there are, nothing that PostgreSQL says arrives."""
        for flows in self._calls.values():
            flows.clear()

    def release(self) -> None:
        """All of it arrives now."""
        self.held_bytes = 0
        for flows in self._calls.values():
            flows.set()

    async def until_held(self) -> None:
        """Wait until an answer is on its way, and held."""
        async with asyncio.timeout(10):
            while not self.held_bytes:
                await asyncio.sleep(0.005)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            self.refused += 1
            writer.close()
            return
        call = asyncio.current_task()
        assert call is not None
        flows = self._calls[call] = asyncio.Event()
        flows.set()
        try:
            answers, questions = await asyncio.open_unix_connection(self._socket)
            there = asyncio.create_task(_pump(reader, questions))
            try:
                await self._answer(answers, writer, flows)
            finally:
                there.cancel()
                questions.close()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            del self._calls[call]

    async def _answer(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter, flows: asyncio.Event) -> None:
        while data := await answers.read(READ_BYTES):
            if not flows.is_set():
                self.held_bytes += len(data)
                await flows.wait()
            writer.write(data)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(READ_BYTES):
            writer.write(data)
    writer.close()


@asynccontextmanager
async def line_to(database_url: str) -> AsyncIterator[Line]:
    """An open line for as long as the block runs."""
    line = Line(database_url)
    await line.open()
    try:
        yield line
    finally:
        await line.close()
