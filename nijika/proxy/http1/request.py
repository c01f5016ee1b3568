"""A request as it is written: its head in one piece, and the frame of its body.

Source: RFC 9112, 3 (request line), 6 (message body).
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from multidict import CIMultiDict

from nijika.proxy.http1.address import Address

_LINE = re.compile(r"[A-Z-]+ /[\x21-\x7e]*", re.ASCII)
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Of these nobody expects a body, so that none is not said."""


class Written(NamedTuple):
    """The `head` of a request; of the body behind it, if any, come `length` bytes (None: chunks)."""

    method: str
    url: str
    head: bytes
    length: int | None


def written(method: str, target: str, address: Address, fields: Mapping[str, str], *, has_body: bool) -> Written:
    """The head that says so; `fields` lack Host. ValueError if it would be read as something else."""
    line = f"{method} {target}"
    if _LINE.fullmatch(line) is None:
        raise ValueError(f"not to be sent: {line[:100]!r}")
    own, length = CIMultiDict(Host=address.authority), _length(fields)
    if has_body and length is None:
        own["Transfer-Encoding"] = "chunked"
    elif not has_body and length is None and method not in _BODILESS:
        own["Content-Length"] = "0"
    lines = [f"{line} HTTP/1.1", *(f"{name}: {value}" for name, value in (*own.items(), *fields.items())), "", ""]
    head = "\r\n".join(lines)
    ends = len(lines) - 1
    if head.count("\r") != ends or head.count("\n") != ends or "\0" in head:
        raise ValueError("not to be sent: a field with a line end")
    return Written(method, f"{address}{target}", head.encode("utf-8", "surrogateescape"), length)


def _length(fields: Mapping[str, str]) -> int | None:
    text = fields.get("Content-Length")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"not to be sent: a body of length {text[:100]!r}")
    return int(text)
