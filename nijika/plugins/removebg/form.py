"""The parameters of a request, from any of the three kinds of body that remove.bg takes, up to its next file."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import cast
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, MultipartReader, StreamReader, hdrs, web
from aiohttp.http_exceptions import BadHttpMessage

from nijika.plugins.removebg.errors import Refused, invalid

MULTIPART, URLENCODED, JSON = "multipart/form-data", "application/x-www-form-urlencoded", "application/json"
KINDS = MULTIPART, URLENCODED, JSON

TEXT_BYTES_MAX = 16_384  # of a parameter other than a picture
LINE_BYTES_MAX = 65_536
FIELDS_MAX = 64
PIECE_BYTES = 65_536

_MALFORMED = ValueError, AssertionError, RuntimeError, RecursionError, BadHttpMessage


class Form:
    """What is known of a form: `texts` by name, without empty ones; `file` is the file whose turn it is, if any."""

    def __init__(self, request: web.Request, chunks: AsyncIterator[bytes], files: frozenset[str]) -> None:
        self.texts: dict[str, str] = {}
        self.file = ""
        self._kind = request.content_type.lower()
        self._chunks = chunks
        self._files = files
        self._part: BodyPartReader | None = None
        if self._kind == MULTIPART:
            self._source = _Pulled(chunks)
            try:
                self._parts = MultipartReader(request.headers, cast("StreamReader", self._source))
            except _MALFORMED as error:
                raise _unreadable() from error

    async def advance(self) -> None:
        """Read on to the next of `files`, or to the end, where `file` is "". Raises Refused, and what the body does."""
        try:
            if self._kind == MULTIPART:
                await self._to_next_file()
            else:
                self._add(await asyncio.to_thread(_parsed, self._kind, await _gathered(self._chunks)))
        except _MALFORMED as error:
            raise _unreadable() from error

    async def content(self) -> AsyncIterator[bytes]:
        """The bytes of the file whose turn it is."""
        assert self._part is not None, "there is a file"
        try:
            while piece := await self._part.read_chunk(PIECE_BYTES):
                yield piece
        except _MALFORMED as error:
            raise _unreadable() from error

    async def _to_next_file(self) -> None:
        self.file = ""
        while (part := await self._parts.next()) is not None:
            if not isinstance(part, BodyPartReader) or not part.name:
                raise _unreadable()
            if part.name in self._files:
                self.file, self._part = part.name, part
                return
            bytes_max = None if part.name == "image_file_b64" else TEXT_BYTES_MAX
            self._add([(part.name, await _text(part, bytes_max))])
        await self._source.drain()

    def _add(self, fields: list[tuple[str, str]]) -> None:
        for name, value in fields:
            if name in self.texts or len(self.texts) >= FIELDS_MAX:
                raise invalid(name[:80], "It is given more than once.")
            if value:
                self.texts[name] = value


class _Pulled:
    """As much of a StreamReader as a multipart reader asks for, over pieces that are fetched when they are needed."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._buffer = b""
        self._is_over = False

    async def read(self, size: int) -> bytes:
        """Some bytes; none at the end."""
        if not self._buffer:
            await self._more()
        piece, self._buffer = self._buffer[:size], self._buffer[size:]
        return piece

    async def readline(self, *, max_line_length: int | None = None) -> bytes:
        """A line with its end; what is left at the end of the body. ValueError if it is too long."""
        while b"\n" not in self._buffer and not self._is_over:
            if len(self._buffer) > (max_line_length or LINE_BYTES_MAX):
                raise ValueError("a line is too long")
            await self._more()
        line, end, self._buffer = self._buffer.partition(b"\n")
        return line + end

    def at_eof(self) -> bool:
        """Whether nothing is left."""
        return self._is_over and not self._buffer

    def unread_data(self, data: bytes) -> None:
        """Put back what was read too far."""
        self._buffer = data + self._buffer

    async def drain(self) -> None:
        """Read what follows the form: only then is the body complete."""
        while not self._is_over:
            self._buffer = b""
            await self._more()

    async def _more(self) -> None:
        piece = await anext(self._pieces, b"")
        self._buffer += piece
        self._is_over = not piece


async def _gathered(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def _text(part: BodyPartReader, bytes_max: int | None) -> str:
    text = bytearray()
    while piece := await part.read_chunk(PIECE_BYTES):
        text += piece
        if bytes_max is not None and len(text) > bytes_max:
            raise invalid(str(part.name)[:80], "It is too long.")
    return text.decode()


def _parsed(kind: str, body: bytes) -> list[tuple[str, str]]:
    if kind == URLENCODED:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX)
    fields = json.loads(body) if body else {}
    if not isinstance(fields, dict):
        raise ValueError("not an object")  # noqa: TRY004 (for the one place that catches what cannot be read)
    return [(name, _plain(name, value)) for name, value in fields.items() if value is not None]


def _plain(name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise invalid(name[:80], "It is text, a number, true or false.")


def _unreadable() -> Refused:
    kinds = ", ".join(KINDS)
    return Refused(
        "invalid_request", "The request cannot be read", f"Send one of {kinds}, well formed, as {hdrs.CONTENT_TYPE}."
    )
