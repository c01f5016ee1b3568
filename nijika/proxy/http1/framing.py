"""How long the body of an answer is: RFC 9112, 6.3, without a second reading."""

from typing import Protocol

from multidict import CIMultiDict

from nijika.proxy.http1.chunks import Chunked
from nijika.proxy.http1.failures import Broken
from nijika.proxy.http1.head import Head

LENGTH_DIGITS_MAX = 18

_BODILESS = frozenset({204, 304})


class Frame(Protocol):
    """Finds the body among the bytes."""

    @property
    def is_over(self) -> bool:
        """Whether the body is complete."""

    @property
    def has_excess(self) -> bool:
        """Whether anything came behind it."""

    @property
    def ends_with_connection(self) -> bool:
        """Whether the end of the connection is that of the body."""

    def feed(self, data: bytes) -> bytes:
        """What of the body is in `data`. Raises Broken."""


def framed(head: Head, method: str) -> Frame:
    """The frame of the answer to a `method`. Raises Broken if it could be read in two ways."""
    fields = head.fields
    codings, lengths = _all(fields, "Transfer-Encoding"), _all(fields, "Content-Length")
    if len(codings) > 1 or len(lengths) > 1 or (codings and lengths):
        raise Broken("its answer tells two lengths")
    if codings and (codings[0].lower() != "chunked" or not head.is_modern):
        raise Broken(f"its answer has a transfer coding that nobody undoes: {codings[0][:100]}")
    length = _length(lengths[0]) if lengths else None
    if method == "HEAD" or head.status in _BODILESS:
        return Sized(0)
    if codings:
        return Chunked()
    return UntilClosed() if length is None else Sized(length)


def _all(fields: CIMultiDict[str], name: str) -> list[str]:
    return fields.getall(name) if name in fields else []


def _length(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= LENGTH_DIGITS_MAX):
        raise Broken("its answer tells no length")
    return int(text)


class Sized:
    """So many bytes."""

    ends_with_connection = False

    def __init__(self, length: int) -> None:
        self.is_over = length == 0
        self.has_excess = False
        self._left = length

    def feed(self, data: bytes) -> bytes:
        """As Frame's."""
        piece = data[: self._left]
        self._left -= len(piece)
        self.is_over = self._left == 0
        self.has_excess = len(piece) < len(data)
        return piece


class UntilClosed:
    """Whatever comes."""

    is_over = False
    has_excess = False
    ends_with_connection = True

    def feed(self, data: bytes) -> bytes:
        """As Frame's."""
        return data
