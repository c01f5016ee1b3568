"""The head of an answer: llhttp reads its lines; what it takes more kindly than RFC 9112 is refused here."""

import re
from typing import NamedTuple

from httptools import HttpParserError, HttpResponseParser
from multidict import CIMultiDict

from nijika.proxy.http1.failures import Broken

HEAD_BYTES_MAX = 32_768
LINE_BYTES_MAX = 8190
FIELDS_MAX = 128

_SWITCHING_PROTOCOLS = b"101"
_END = b"\r\n\r\n"
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?\r\n")


class Head(NamedTuple):
    """What is known before the body comes; `is_modern` tells HTTP/1.1 from 1.0."""

    status: int
    fields: CIMultiDict[str]
    is_modern: bool

    @property
    def keeps_alive(self) -> bool:
        """Whether the worker takes another request afterwards (RFC 9112, 9.3); 1.0 is not asked for it."""
        if "Connection" not in self.fields:
            return self.is_modern
        options = ",".join(self.fields.getall("Connection")).lower().split(",")
        return self.is_modern and "close" not in map(str.strip, options)


class HeadReader:
    """Gathers one head, however it is split."""

    def __init__(self) -> None:
        self._gathered = b""

    def feed(self, data: bytes) -> tuple[Head, bytes] | None:
        """The head and what comes behind it, once it is whole. Raises Broken if it is none, or too large."""
        searched = max(0, len(self._gathered) - len(_END))
        self._gathered += data
        end = self._gathered.find(_END, searched)
        length = len(self._gathered) if end < 0 else end + len(_END)
        if length > HEAD_BYTES_MAX:
            raise Broken("the head of its answer is too large")
        if end < 0:
            return None
        head, rest, self._gathered = self._gathered[:length], self._gathered[length:], b""
        return _read(head), rest


def _read(head: bytes) -> Head:
    line = _STATUS_LINE.match(head)
    if line is None:
        raise Broken("its answer does not begin as HTTP/1.1")
    minor, status = line.groups()
    if status == _SWITCHING_PROTOCOLS:
        raise Broken("it switches to a protocol that nobody asked for")
    lines = _Lines()
    try:
        HttpResponseParser(lines).feed_data(head)
    except HttpParserError as error:
        raise Broken(f"its answer is no HTTP/1.1: {error}") from error
    if not lines.are_complete:
        raise Broken("its answer is no HTTP/1.1")
    if len(lines.found) > FIELDS_MAX or max(map(len, head.split(b"\r\n"))) > LINE_BYTES_MAX:
        raise Broken("the head of its answer is too large")
    return Head(int(status), lines.fields(), minor == b"1")


class _Lines:
    """What llhttp tells."""

    def __init__(self) -> None:
        self.are_complete = False
        self.found: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.found.append((name, value))

    def on_headers_complete(self) -> None:
        self.are_complete = True

    def fields(self) -> CIMultiDict[str]:
        """Bytes that are no UTF-8 are kept as they are, in the way of aiohttp."""
        return CIMultiDict(
            [(name.decode(), value.strip(b" \t").decode("utf-8", "surrogateescape")) for name, value in self.found]
        )
