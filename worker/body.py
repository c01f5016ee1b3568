"""A request's body as it comes in: neither larger than is taken nor slower than is waited for, and others run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web

from worker.problems import BadBody, BodyTooLarge, SlowBody

BODY_SECONDS = 60
GRACE_SECONDS = 10  # from then on a body has to keep the pace, on average
PACE_BYTES = 4_096  # a second
PIECE_BYTES = 65_536
PARTS_MAX = 32
PREAMBLE_BYTES_MAX = 1_024
HEAD_BYTES_MAX = 8_192  # what is read in lines for one part: the boundary before it, and its head


class Body:
    """The body of one request, of at most `bytes_max`; to be read within `reading`, once."""

    def __init__(self, request: web.Request, bytes_max: int) -> None:
        self._headers = request.headers
        self._content = request.content
        self._bytes_max = bytes_max
        self._pace = asyncio.timeout(None)
        self._begun = 0.0

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Hold the sender to the pace. Raises SlowBody, BadBody."""
        self._begun = asyncio.get_running_loop().time()
        try:
            async with self._pace:
                self._grant()
                yield
        except TimeoutError as error:
            pace = f"{PACE_BYTES // 1024} KiB a second"
            raise SlowBody(
                f"The body took longer than {BODY_SECONDS} seconds, or came at less than {pace}. Send it again."
            ) from error
        except web.RequestPayloadError as error:
            raise BadBody("The body is cut short or wrongly framed. Send it again.") from error

    async def whole(self, bytes_max: int) -> bytes:
        """All of it. Raises BodyTooLarge where it is more than `bytes_max`."""
        return await _gathered(self._pieces(), bytes_max)

    async def parts(self) -> AsyncIterator[BodyPartReader]:
        """The parts of a form, to be read with `content` one after the other; what aiohttp raises for a broken one."""
        lines = _Lines(self, self._content)
        form = MultipartReader(self._headers, cast("StreamReader", lines))
        left = PARTS_MAX
        while (part := await form.next()) is not None:
            if not left:
                raise BadBody(f"The form has more than {PARTS_MAX} parts. Send one picture and its options.")
            left -= 1
            if not isinstance(part, BodyPartReader) or not part.name:
                raise BadBody('Every part of the form needs a name: "image", or the name of an option.')
            yield part
            lines.begin_part()

    async def content(self, part: BodyPartReader, bytes_max: int) -> bytes:
        """What one part holds. Raises BodyTooLarge where it is more than `bytes_max`."""
        return await _gathered(_chunks(part), bytes_max)

    async def arrived(self) -> None:
        """Look at what has come, and let the others have their turn: what is buffered is read without a pause."""
        if self._content.total_bytes > self._bytes_max:
            raise BodyTooLarge(self._bytes_max)
        self._grant()
        await asyncio.sleep(0)

    def _grant(self) -> None:
        seconds = min(BODY_SECONDS, GRACE_SECONDS + self._content.total_bytes / PACE_BYTES)
        self._pace.reschedule(self._begun + seconds)

    async def _pieces(self) -> AsyncIterator[bytes]:
        async for piece in self._content.iter_any():
            await self.arrived()
            yield piece


class _Lines:
    """As much of a StreamReader as a multipart reader asks for, which reads few lines and lets others run."""

    def __init__(self, body: Body, content: StreamReader) -> None:
        self._body = body
        self._content = content
        self._is_preamble = True
        self._read = 0

    def begin_part(self) -> None:
        """Count the lines anew."""
        self._read = 0

    async def read(self, size: int) -> bytes:
        piece = await self._content.read(size)
        await self._body.arrived()
        return piece

    async def readline(self, *, max_line_length: int | None = None) -> bytes:
        line = await self._content.readline(max_line_length=max_line_length or HEAD_BYTES_MAX)
        self._is_preamble &= not line.startswith(b"--")
        self._read += len(line)
        if self._read > (PREAMBLE_BYTES_MAX if self._is_preamble else HEAD_BYTES_MAX):
            raise BadBody("There is too much before a part of the form. Send multipart/form-data as a browser does.")
        await self._body.arrived()
        return line

    def at_eof(self) -> bool:
        return self._content.at_eof()

    def unread_data(self, data: bytes) -> None:
        self._content.unread_data(data)


async def _gathered(pieces: AsyncIterator[bytes], bytes_max: int) -> bytes:
    gathered = bytearray()
    async for piece in pieces:
        gathered += piece
        if len(gathered) > bytes_max:
            raise BodyTooLarge(bytes_max)
    return bytes(gathered)


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(PIECE_BYTES):
        yield chunk
