"""Heads that leave in doubt where the request ends."""

from tests.peers.malformed.case import Malformed, post

CHUNKED = b"Transfer-Encoding: chunked"
LENGTH = b"Content-Length: 4"
REFUSED_OR_UNKNOWN = frozenset({400, 501})


def _length(name: str, value: bytes) -> Malformed:
    return Malformed(f"length {name}", post(b"Content-Length: " + value, body=b"body"))


def _encoding(name: str, *lines: bytes) -> Malformed:
    return Malformed(f"encoding {name}", post(*lines, body=b"4\r\nbody\r\n0\r\n\r\n"), REFUSED_OR_UNKNOWN)


FRAMING = [
    Malformed("length and encoding", post(LENGTH, CHUNKED, body=b"4\r\nbody\r\n0\r\n\r\n")),
    Malformed("encoding and length", post(CHUNKED, LENGTH, body=b"4\r\nbody\r\n0\r\n\r\n")),
    Malformed("length zero and encoding", post(b"Content-Length: 0", CHUNKED, body=b"4\r\nbody\r\n0\r\n\r\n")),
    Malformed("length twice the same", post(LENGTH, LENGTH, body=b"body")),
    Malformed("length twice different", post(LENGTH, b"Content-Length: 0", body=b"body")),
    Malformed("length and space before colon", post(b"Content-Length : 4", body=b"body")),
    Malformed("length and tab before colon", post(b"Content-Length\t: 4", body=b"body")),
    _length("list the same", b"4, 4"),
    _length("list different", b"4, 5"),
    _length("plus", b"+4"),
    _length("minus", b"-1"),
    _length("minus zero", b"-0"),
    _length("hexadecimal", b"0x4"),
    _length("fraction", b"4.0"),
    _length("underscore", b"0_4"),
    _length("two words", b"4 4"),
    _length("parameter", b"4;q=1"),
    _length("empty", b""),
    _length("beyond 64 bits", b"99999999999999999999999999"),
    _length("just beyond 64 bits", b"18446744073709551620"),
    _length("other digits", "４".encode()),  # noqa: RUF001  # int() reads it as a 4
    _length("vertical tab", b"\x0b4"),
    _encoding("chunked, identity", b"Transfer-Encoding: chunked, identity"),
    _encoding("identity, chunked", b"Transfer-Encoding: identity, chunked"),
    _encoding("identity", b"Transfer-Encoding: identity"),
    _encoding("gzip, chunked", b"Transfer-Encoding: gzip, chunked"),
    _encoding("gzip", b"Transfer-Encoding: gzip"),
    _encoding("xchunked", b"Transfer-Encoding: xchunked"),
    _encoding("chunkedx", b"Transfer-Encoding: chunkedx"),
    _encoding("chunked chunked", b"Transfer-Encoding: chunked chunked"),
    _encoding("chunked, chunked", b"Transfer-Encoding: chunked, chunked"),
    _encoding("chunked;parameter", b"Transfer-Encoding: chunked;q=1"),
    _encoding("quoted", b'Transfer-Encoding: "chunked"'),
    _encoding("comma first", b"Transfer-Encoding: ,chunked"),
    _encoding("empty", b"Transfer-Encoding:"),
    _encoding("space before colon", b"Transfer-Encoding : chunked"),
    _encoding("tab before colon", b"Transfer-Encoding\t: chunked"),
    _encoding("vertical tab", b"Transfer-Encoding:\x0bchunked"),
    _encoding("form feed", b"Transfer-Encoding: \x0cchunked"),
    _encoding("folded", b"Transfer-Encoding:", b" chunked"),
    _encoding("twice the same", CHUNKED, CHUNKED),
    _encoding("twice, identity first", b"Transfer-Encoding: identity", CHUNKED),
    _encoding("twice, identity last", CHUNKED, b"Transfer-Encoding: identity"),
    Malformed("encoding in HTTP/1.0", post(CHUNKED, body=b"4\r\nbody\r\n0\r\n\r\n", version=b"HTTP/1.0")),
]
