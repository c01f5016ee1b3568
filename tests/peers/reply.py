"""Reads one HTTP answer from bytes, strictly, and tells in which way it ended."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Ending = Literal["none", "length", "chunked", "eof", "cut"]


@dataclass
class Reply:
    """One answer; `ending` is "cut" when the connection broke before the body's declared end."""

    version: str
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    ending: Ending = "none"
    interim: list[int] = field(default_factory=list)
    """The 1xx answers that came before."""

    def values(self, name: str) -> list[str]:
        return [value for given, value in self.headers if given.lower() == name.lower()]

    def value(self, name: str) -> str | None:
        """The value of a header that may come once; AssertionError when it came more often."""
        found = self.values(name)
        assert len(found) <= 1, f"{name} came {len(found)} times"
        return found[0] if found else None

    def json(self) -> Any:
        return json.loads(self.body)


class Source:
    """Bytes of a connection with what was read ahead."""

    def __init__(self, read_some: Callable[[], Awaitable[bytes]]) -> None:
        self.buffer = b""
        self.was_reset = False
        self._read_some = read_some

    async def line(self) -> bytes:
        """One line without its CRLF; EOFError when the connection ends before it does."""
        while b"\r\n" not in self.buffer:
            await self._more()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    async def take(self, count: int, into: bytearray) -> None:
        """Moves so many bytes; EOFError when the connection ends, with what came already moved."""
        while count:
            if not self.buffer:
                await self._more()
            piece, self.buffer = self.buffer[:count], self.buffer[count:]
            into += piece
            count -= len(piece)

    async def until_eof(self) -> bytes:
        """All that comes until the connection ends in whatever way."""
        try:
            while True:
                await self._more()
        except EOFError as end:
            self.was_reset = isinstance(end.__cause__, ConnectionError)
            rest, self.buffer = self.buffer, b""
            return rest

    async def _more(self) -> None:
        try:
            piece = await self._read_some()
        except ConnectionError as error:
            raise EOFError("the connection was reset") from error
        if not piece:
            raise EOFError("the connection was closed")
        self.buffer += piece


async def read_reply(source: Source, method: str, *, skip_interim: bool = True) -> Reply:
    """Reads an answer; AssertionError when there is none or when it is not HTTP."""
    interim = []
    reply = await _read_head(source)
    while skip_interim and 100 <= reply.status < 200 and reply.status != 101:
        interim.append(reply.status)
        reply = await _read_head(source)
    reply.interim = interim
    body = bytearray()
    try:
        reply.ending = await _read_body(source, reply, method, body)
    except EOFError:
        reply.ending = "cut"
    reply.body = bytes(body)
    return reply


async def _read_head(source: Source) -> Reply:
    try:
        version, status, reason = (await source.line()).decode("latin-1").split(" ", 2)
        assert version.startswith("HTTP/"), f"not HTTP: {version}"
        headers = []
        while line := (await source.line()).decode("latin-1"):
            name, colon, value = line.partition(":")
            assert colon, f"not a header: {line!r}"
            headers.append((name, value.strip(" \t")))
    except EOFError as error:
        raise AssertionError(f"{error} where an answer was due, after {source.buffer!r}") from error
    return Reply(version, int(status), reason, headers)


async def _read_body(source: Source, reply: Reply, method: str, body: bytearray) -> Ending:
    if method == "HEAD" or reply.status in {204, 304} or reply.status < 200:
        return "none"
    length = reply.value("Content-Length")
    if reply.value("Transfer-Encoding"):
        assert length is None, "an answer with Content-Length and Transfer-Encoding"
        await _read_chunks(source, body)
        return "chunked"
    if length is None:
        body += await source.until_eof()
        return "cut" if source.was_reset else "eof"
    await source.take(int(length), body)
    return "length"


async def _read_chunks(source: Source, body: bytearray) -> None:
    while size := int((await source.line()).split(b";")[0], 16):
        await source.take(size, body)
        assert await source.line() == b"", "a chunk is longer than its size"
    while await source.line():
        pass
