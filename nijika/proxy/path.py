"""One canonical spelling of a request's target, so that rules, router and worker read the same path.

Source: RFC 3986, 2.3 (unreserved characters), 3.3 (path), 6.2.2 (normalisation); RFC 9112, 3.2 (forms of a target).
"""

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from nijika.errors import BadPath

_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)+", re.ASCII)
_QUERY = re.compile(r"[!$-;=?-~]*", re.ASCII)  # visible ASCII without " # < >
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
# What may stand plainly in a path: its escape is another spelling of the same path to every worker that decodes.
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~!$&'()*+,:=@")
# A semicolon begins parameters for some servers, and its escape does not: there is no telling which is meant.
_FORBIDDEN = frozenset(map(chr, range(0x20))) | frozenset("\x7f./\\;")


class Target(NamedTuple):
    """Where a request goes: the canonical path, and the query as the caller wrote it, without "?"."""

    path: str
    query: str


def canonical(raw: str) -> Target:
    """The one reading of a request target in origin form; BadPath if there could be another.

    Needless escapes are undone (`%61` is `a`), the others get upper-case digits. Refused are absolute form, `*`, dot
    segments, empty segments, `%2e %2f %3b %5c`, control characters plain or escaped, plain non-ASCII characters, and
    escapes that are no UTF-8.
    """
    path, _, query = raw.partition("?")
    if _PATH.fullmatch(path) is None or _QUERY.fullmatch(query) is None:
        raise BadPath
    if "%" in path:
        path = _ESCAPE.sub(_plain, path)
        _check_utf8(path)
    # Some servers drop ";parameters" before they resolve dots, so "..;x" is a dot segment to them.
    for segment in path[1:].split("/"):
        if segment.partition(";")[0] in {".", ".."}:
            raise BadPath
    if "//" in path:
        raise BadPath
    return Target(path, query)


def _check_utf8(path: str) -> None:
    """Overlong and broken sequences are read as a dot or slash by some."""
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        raise BadPath from None


def _plain(escape: re.Match[str]) -> str:
    digits = escape[1]
    if digits is None:
        raise BadPath
    character = chr(int(digits, 16))
    if character in _FORBIDDEN:
        raise BadPath
    return character if character in _PLAIN else f"%{digits.upper()}"
