"""The parameters of a request, from any of the three kinds of body that remove.bg takes, up to its next file."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, MultipartReader, StreamReader, hdrs, web
from aiohttp.http_exceptions import BadHttpMessage

from nijika.plugins.removebg.errors import Refused, invalid
from nijika.plugins.removebg.options import FILES
from nijika.plugins.removebg.order import Order
from nijika.plugins.removebg.pulled import Pulled
from nijika.proxy import embedded
from nijika.proxy.budget import Share

MULTIPART, URLENCODED, JSON = "multipart/form-data", "application/x-www-form-urlencoded", "application/json"
KINDS = MULTIPART, URLENCODED, JSON

BASE64 = "image_file_b64"
"""The one text that may be long."""

TEXT_MAX = 16_384
FIELDS_MAX = 64
HEAD_BYTES_MAX = 8192  # of a part, with what stands before it
ESCAPES_MAX = 2**21  # twice as many as a picture of 25 MiB has
PIECE_BYTES = 65_536

_MALFORMED = ValueError, AssertionError, RuntimeError, RecursionError, BadHttpMessage


class Form:
    """A form that is being read: `order` is what it says so far; `file` is the file whose turn it is, if any.

    Before a picture is gathered, room for it is taken from `share`.
    """

    def __init__(self, request: web.Request, chunks: AsyncIterator[bytes], share: Share) -> None:
        self.order = Order()
        self.file = ""
        self._kind = request.content_type.lower()
        self._chunks = chunks
        self._share = share
        self._count = 0
        self._part: BodyPartReader | None = None
        self._beginning = b""
        if self._kind == MULTIPART:
            self._source = Pulled(chunks)
            try:
                self._parts = MultipartReader(request.headers, cast("StreamReader", self._source))
            except _MALFORMED as error:
                raise _unreadable() from error

    async def advance(self) -> None:
        """Read on to the next file, or the end, where `file` is "". Raises Refused, TooManyBodies, what `chunks` do."""
        try:
            if self._kind == MULTIPART:
                await self._to_next_file()
            else:
                self._share.take()
                body = await embedded.gathered(self._chunks)
                for name, value in await asyncio.to_thread(_parsed, self._kind, body):
                    self._add(name, value)
        except embedded.TooManyMembers as error:
            raise _too_many() from error
        except _MALFORMED as error:
            raise _unreadable() from error

    async def content(self) -> AsyncIterator[bytes]:
        """The bytes of the file whose turn it is."""
        assert self._part is not None, "there is a file"
        piece = self._beginning
        try:
            while piece:
                yield piece
                piece = await self._part.read_chunk(PIECE_BYTES)
        except _MALFORMED as error:
            raise _unreadable() from error

    async def _to_next_file(self) -> None:
        self.file = ""
        while (part := await self._next_part()) is not None:
            name = str(part.name)
            if name not in FILES:
                self._add(name, await self._text(part))
            elif await self._begins(part, name):
                return
        await self._source.drain()

    async def _next_part(self) -> BodyPartReader | None:
        await asyncio.sleep(0)  # many parts may lie in one piece
        self._source.allow_lines(HEAD_BYTES_MAX)
        part = await self._parts.next()
        if part is None:
            return None
        if not isinstance(part, BodyPartReader) or not part.name:
            raise _unreadable()
        self._count += 1
        if self._count > FIELDS_MAX:
            raise _too_many()
        return part

    async def _begins(self, part: BodyPartReader, name: str) -> bool:
        """Whether the part is a file; a browser sends an empty one without a name where nothing was chosen."""
        self._beginning = await part.read_chunk(PIECE_BYTES)
        if not self._beginning and not part.filename:
            return False
        if name in self.order.files:
            raise invalid(name, "It is given more than once.")
        self.order.files.add(name)
        self.file, self._part = name, part
        return True

    async def _text(self, part: BodyPartReader) -> str:
        is_long = part.name == BASE64
        if is_long:
            self._share.take()
        text = bytearray()
        while piece := await part.read_chunk(PIECE_BYTES):
            text += piece
            if not is_long and len(text) > TEXT_MAX:
                raise _too_long(str(part.name))
        return text.decode()

    def _add(self, name: str, value: str) -> None:
        _check_characters(name)
        _check_characters(value)
        texts = self.order.texts
        if name in texts:
            raise invalid(name[:80], "It is given more than once.")
        if not value:
            return
        if name in FILES:
            raise invalid(name, f"It is a file: send it as {MULTIPART}; in other bodies a picture is {BASE64}.")
        if name != BASE64 and len(value) > TEXT_MAX:
            raise _too_long(name)
        if len(texts) >= FIELDS_MAX:
            raise _too_many()
        texts[name] = value


def _check_characters(text: str) -> None:
    """A lone surrogate, which is how bytes that are no UTF-8 and some escapes end up here, is a ValueError."""
    if not text.isascii():
        text.encode()


def _parsed(kind: str, body: bytearray) -> list[tuple[str, str]]:
    if kind == URLENCODED:
        return _fields(body)
    members = embedded.members(body, FIELDS_MAX) if body else {}
    return [(name, _plain(name, value)) for name, value in members.items() if value is not None]


def _fields(body: bytearray) -> list[tuple[str, str]]:
    if body.count(b"&") >= FIELDS_MAX:
        raise embedded.TooManyMembers
    if body.count(b"%") > ESCAPES_MAX:
        raise ValueError("it would take long to read")
    text = body.decode()
    body.clear()
    return parse_qsl(text, keep_blank_values=True, errors="strict")


def _plain(name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise invalid(name[:80], "It is text, a number, true or false.")


def _too_many() -> Refused:
    return Refused("invalid_request", "Too many parameters given", f"Send at most {FIELDS_MAX}, empty ones included.")


def _too_long(name: str) -> Refused:
    return invalid(name[:80], "It is too long.")


def _unreadable() -> Refused:
    kinds = ", ".join(KINDS)
    return Refused(
        "invalid_request", "The request cannot be read", f"Send one of {kinds}, well formed, as {hdrs.CONTENT_TYPE}."
    )
