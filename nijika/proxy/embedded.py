"""Pictures that come as base64 within a text, which has to be gathered: read once, and never parsed in good faith."""

import base64
import binascii
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

COMMAS_MAX = 4096
"""Far more than a request has, and few enough to be parsed at once: addresses may hold some, base64 none."""

PIECE_BYTES = 65_536

_BEFORE_OBJECT = b"\xef\xbb\xbf \t\r\n"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_DATA_URL_HEAD_MAX = 256


class TooManyMembers(ValueError):
    """JSON that has more in it than a request ever has."""


async def gathered(chunks: AsyncIterator[bytes]) -> bytearray:
    """All of a body; the caller has seen to it that there is room for it."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
    return body


def members(body: bytearray, count_max: int) -> dict[str, Any]:
    """The members of the JSON object that is `body`, which is empty afterwards; they have at most `count_max` texts.

    Raises ValueError or RecursionError. Parsing cannot be interrupted, so what would take long is not begun.
    """
    if not body[:64].lstrip(_BEFORE_OBJECT).startswith(b"{"):
        raise ValueError("not an object")
    if body.count(b'"') > 4 * count_max or body.count(b",") > COMMAS_MAX:
        raise TooManyMembers
    text = body.decode("utf-8-sig")
    body.clear()
    found: dict[str, Any] = json.loads(text)
    return found


def decoded(text: str) -> bytes:
    """The bytes that a text of base64 stands for (RFC 4648, 4 and 5; or a data URL, RFC 2397); ValueError if none.

    Whitespace does not count, and padding may be left out.
    """
    text = text.lstrip()
    if text[:5].lower() == "data:":
        comma = text.find(",", 0, _DATA_URL_HEAD_MAX)
        if not text[: max(comma, 0)].lower().endswith(";base64"):
            raise ValueError("a data URL that is not base64")
        text = text[comma + 1 :]
    digits = text.encode("ascii").translate(_URL_SAFE, b" \t\r\n\f\v")
    try:
        return base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def pieces(data: bytes) -> Iterator[bytes]:
    """`data` bit by bit: sent whole, it would be copied whole."""
    for start in range(0, len(data), PIECE_BYTES):
        yield data[start : start + PIECE_BYTES]
