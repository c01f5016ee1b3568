"""The body of a request at the upstream, read as it arrives and decoded from its framing."""

import asyncio
import re

from tests.peers.seen import Note, Seen

PIECE_BYTES_MAX = 65536
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(;[^\r\n]*)?\r\n")


class BrokenUploadError(ConnectionError):
    """The body ended, or lost its framing, before its declared end."""


class Body:
    """Iterates over the pieces of a body; a second loop goes on where the first one stopped."""

    def __init__(self, reader: asyncio.StreamReader, seen: Seen, note: Note) -> None:
        self._reader = reader
        self._seen = seen
        self._note = note
        self._chunked = any("chunked" in value.lower() for value in seen.values("Transfer-Encoding"))
        self._left = 0 if self._chunked else int(seen.value("Content-Length") or 0)
        if not self._chunked and not self._left:
            self._complete()

    def __aiter__(self) -> "Body":
        return self

    async def __anext__(self) -> bytes:
        if self._seen.complete:
            raise StopAsyncIteration
        try:
            return await self._next()
        except (EOFError, ValueError, ConnectionError, asyncio.LimitOverrunError) as error:
            self._seen.broken = True
            self._note()
            raise BrokenUploadError(str(error)) from error

    async def _next(self) -> bytes:
        if self._chunked and not self._left:
            self._left = await self._chunk_size()
        if not self._left:
            await self._trailers()
            self._complete()
            raise StopAsyncIteration
        piece = await self._reader.read(min(self._left, PIECE_BYTES_MAX))
        if not piece:
            raise EOFError(f"{self._left} bytes missing")
        await self._take(piece)
        return piece

    async def _take(self, piece: bytes) -> None:
        self._left -= len(piece)
        self._seen.upload.add(piece)
        if not self._left and self._chunked and await self._reader.readexactly(2) != b"\r\n":
            raise ValueError("a chunk is longer than its size")
        if not self._left and not self._chunked:
            self._complete()
        self._note()

    async def _chunk_size(self) -> int:
        line = await self._reader.readuntil(b"\r\n")
        size = CHUNK_SIZE.fullmatch(line)
        if not size:
            raise ValueError(f"not a chunk size: {line!r}")
        return int(size[1], 16)

    async def _trailers(self) -> None:
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            pass

    def _complete(self) -> None:
        self._seen.complete = True
        self._note()
