"""As much of a StreamReader as aiohttp's MultipartReader asks for, over pieces that are fetched when needed."""

from collections.abc import AsyncIterator


class Pulled:
    """Reads `pieces`. Lines are short and few: ValueError for more bytes of them than `allow_lines` last allowed."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._buffer = b""
        self._at = 0  # what stands before it was read; to cut that off each time would copy all the rest
        self._is_over = False
        self._line_bytes_left = 0

    def allow_lines(self, bytes_max: int) -> None:
        """From here on so many bytes may be read in lines."""
        self._line_bytes_left = bytes_max

    async def read(self, size: int) -> bytes:
        """Some bytes; none at the end."""
        if self._at == len(self._buffer):
            await self._more()
        piece = self._buffer[self._at : self._at + size]
        self._at += len(piece)
        return piece

    async def readline(self, *, max_line_length: int | None = None) -> bytes:  # noqa: ARG002 (the reader's own bound)
        """A line with its end; what is left at the end of the body."""
        while (end := self._buffer.find(b"\n", self._at)) < 0 and not self._is_over:
            self._check_lines(len(self._buffer) - self._at)
            await self._more()
        line = self._buffer[self._at : end + 1 or None]
        self._check_lines(len(line))
        self._line_bytes_left -= len(line)
        self._at += len(line)
        return line

    def at_eof(self) -> bool:
        """Whether nothing is left."""
        return self._is_over and self._at == len(self._buffer)

    def unread_data(self, data: bytes) -> None:
        """Put back what was read too far."""
        self._buffer, self._at = data + self._buffer[self._at :], 0

    async def drain(self) -> None:
        """Read what follows the form: only then is the body complete."""
        while not self._is_over:
            self._at = len(self._buffer)
            await self._more()

    async def _more(self) -> None:
        piece = await anext(self._pieces, b"")
        self._buffer, self._at = self._buffer[self._at :] + piece, 0
        self._is_over = not piece

    def _check_lines(self, size: int) -> None:
        if size > self._line_bytes_left:
            raise ValueError("lines are too long, or too many")
