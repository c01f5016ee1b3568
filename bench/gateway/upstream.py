"""The worker behind every contender: fixed answers, as fast as Python can: `python -m bench.gateway.upstream PORT`.

It takes requests with a Content-Length, one at a time on each connection, and answers when the body is complete. It
speaks no HTTP beyond what proxies send it here; a real server would be measured along with them.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, cast

import uvloop

from bench.gateway.sizes import EVENT, EVENT_SECONDS, LARGE_BYTES, MIB, SMALL_BYTES, TRANSFER_BYTES

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_BLOCK = bytes(MIB // 4)


def _head(kind: str, length: int | None) -> bytes:
    frame = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nCache-Control: no-store\r\n{frame}\r\n\r\n".encode()


_OCTETS = "application/octet-stream"
_SMALL = _head(_OCTETS, SMALL_BYTES) + bytes(SMALL_BYTES)
_LARGE = _head(_OCTETS, LARGE_BYTES) + bytes(LARGE_BYTES)


Tally = Counter[bytes]
"""How many answers were given to calls with each query, which names a run of load; not to the question for it."""


class Connection(asyncio.Protocol):
    """One connection of a proxy."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._begun = b""
        self._missing = 0
        self._query = b""
        self._answer = self._small
        self._task: asyncio.Task[None] | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It begins."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        """Nobody waits for the rest."""
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """The proxy does not read as fast as we write."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        """Some of a head, or of a body; the last of it is answered."""
        if self._missing == 0:
            data = self._begun + data if self._begun else data
            end = data.find(_HEAD_END)
            if end < 0:
                self._begun = data
                return
            self._begun = b""
            self._begin(data[:end])
            data = data[end + len(_HEAD_END) :]
        self._missing -= len(data)
        if self._missing == 0:
            self._answer()

    def _begin(self, head: bytes) -> None:
        name, _, self._query = head.split(b" ", 2)[1].rpartition(b"/")[2].partition(b"?")
        self._answer = self._small if name == b"small" else self._others().get(name, self._small)
        _, found, rest = head.lower().partition(_LENGTH)
        self._missing = int(rest.partition(b"\r\n")[0]) if found else 0

    def _others(self) -> dict[bytes, Callable[[], None]]:
        return {
            b"large": self._large,
            b"download": lambda: self._begin_task(self._download()),
            b"events": lambda: self._begin_task(self._events()),
            b"tally": self._tell,
        }

    def _small(self) -> None:
        self._tally[self._query] += 1
        self._transport.write(_SMALL)

    def _large(self) -> None:
        self._tally[self._query] += 1
        self._transport.write(_LARGE)

    def _tell(self) -> None:
        body = json.dumps(self._tally[self._query]).encode()
        self._transport.write(_head("application/json", len(body)) + body)

    def _begin_task(self, work: Coroutine[Any, Any, None]) -> None:
        self._tally[self._query] += 1
        self._task = asyncio.create_task(work)

    async def _download(self) -> None:
        self._transport.write(_head(_OCTETS, TRANSFER_BYTES))
        for _ in range(TRANSFER_BYTES // len(_BLOCK)):
            self._transport.write(_BLOCK)
            await self._may_write.wait()

    async def _events(self) -> None:
        """Two events, so that whoever gathers an answer is found out."""
        chunk = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
        # nginx lets no other answer flow than one that says so itself.
        head = _head("text/event-stream", None).replace(_HEAD_END, b"\r\nX-Accel-Buffering: no" + _HEAD_END)
        self._transport.write(head + chunk)
        await asyncio.sleep(EVENT_SECONDS)
        self._transport.write(chunk + b"0\r\n\r\n")


async def _serve(port: int) -> None:
    tally: Tally = Counter()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(tally), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
