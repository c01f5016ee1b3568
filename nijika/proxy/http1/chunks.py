"""A body in chunks: llhttp finds them, and what it would read without end is bounded here.

Source: RFC 9112, 7.1.
"""

from httptools import HttpParserError, HttpResponseParser

from nijika.proxy.http1.failures import Broken

OVERHEAD_BYTES_MAX = 16_384
"""What may stand around chunks beyond `CHUNK_LINE_BYTES` for each: extensions, and trailers at the end."""

CHUNK_LINE_BYTES = 64

_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"  # to a parser of its own, which begins here


class Chunked:
    """Chunks, as llhttp reads them; extensions and trailers are dropped."""

    ends_with_connection = False

    def __init__(self) -> None:
        self.is_over = False
        self.has_excess = False
        self._pieces: list[bytes] = []
        self._room = OVERHEAD_BYTES_MAX
        self._tail = b""
        self._parser = HttpResponseParser(self)
        self._parser.feed_data(_HEAD)

    def feed(self, data: bytes) -> bytes:
        """As Frame's."""
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            if not self.is_over:
                raise Broken(f"its answer is not chunked well: {error}") from error
            self.has_excess = True
        body = b"".join(self._pieces)
        self._pieces.clear()
        self._room = min(self._room - (len(data) - len(body)), OVERHEAD_BYTES_MAX)
        if self._room < 0:
            raise Broken("there is too much around the chunks of its answer")
        # llhttp skips empty lines behind a message, but nothing belongs behind the one that ends it.
        self._tail = (self._tail + data[-5:])[-5:]
        self.has_excess |= self.is_over and self._tail[0] in b"\r\n"
        return body

    def on_message_begin(self) -> None:
        """llhttp found another one behind this; the refusal stops it."""
        if self.is_over:
            raise Broken("something comes behind its answer")

    def on_chunk_header(self) -> None:
        """Another chunk begins."""
        self._room += CHUNK_LINE_BYTES

    def on_body(self, piece: bytes) -> None:
        """Some of a chunk."""
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """The trailers have ended."""
        self.is_over = True
