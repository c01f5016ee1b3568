"""Answers that are refused, and answers that are not; each is the bytes of a whole connection."""

from typing import NamedTuple

_HEAD = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def _line(line: bytes) -> bytes:
    return line + b"Content-Length: 2\r\n\r\nok"


def _field(field: bytes) -> bytes:
    return _HEAD + field + b"\r\nContent-Length: 2\r\n\r\nok"


def _length(field: bytes) -> bytes:
    return _HEAD + field + b"\r\n\r\nok"


STATUS_LINES = {
    "HTTP/0.9": _line(b"HTTP/0.9 200 OK\r\n"),
    "HTTP/2.0": _line(b"HTTP/2.0 200 OK\r\n"),
    "HTTP/2": _line(b"HTTP/2 200 OK\r\n"),
    "HTTP/1.2": _line(b"HTTP/1.2 200 OK\r\n"),
    "HTTP/1.10": _line(b"HTTP/1.10 200 OK\r\n"),
    "small letters": _line(b"http/1.1 200 OK\r\n"),
    "another protocol": _line(b"RTSP/1.0 200 OK\r\n"),
    "a radio": _line(b"ICY 200 OK\r\n"),
    "a request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "no protocol": b"ok\r\n\r\n",
    "an empty line before": _line(b"\r\nHTTP/1.1 200 OK\r\n"),
    "a space before": _line(b" HTTP/1.1 200 OK\r\n"),
    "two spaces": _line(b"HTTP/1.1  200 OK\r\n"),
    "a tab": _line(b"HTTP/1.1\t200 OK\r\n"),
    "no status": _line(b"HTTP/1.1\r\n"),
    "status 20": _line(b"HTTP/1.1 20 OK\r\n"),
    "status 099": _line(b"HTTP/1.1 099 OK\r\n"),
    "status 2000": _line(b"HTTP/1.1 2000 OK\r\n"),
    "status +20": _line(b"HTTP/1.1 +20 OK\r\n"),
    "status in words": _line(b"HTTP/1.1 two OK\r\n"),
    "NUL in the reason": _line(b"HTTP/1.1 200 O\x00K\r\n"),
    "escape in the reason": _line(b"HTTP/1.1 200 \x1b[31m\r\n"),
    "CR in the reason": _line(b"HTTP/1.1 200 O\rK\r\n"),
    "LF for CRLF": _line(b"HTTP/1.1 200 OK\n"),
    "CR for CRLF": _line(b"HTTP/1.1 200 OK\r"),
    "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    "a long reason": _line(b"HTTP/1.1 200 " + b"x" * 9000 + b"\r\n"),
}

FIELDS = {
    "folded": _field(b"A: b\r\n c"),
    "folded by a tab": _field(b"A: b\r\n\tc"),
    "folded at once": _field(b" A: b"),
    "LF for CRLF": _field(b"A: b\nC: d"),
    "CR for CRLF": _field(b"A: b\rC: d"),
    "CR before CRLF": _field(b"A: b\r"),
    "two LF": _HEAD + b"A: b\n\nhttp\r\n\r\n",
    "NUL": _field(b"A: b\x00c"),
    "control character": _field(b"A: b\x01c"),
    "backspace": _field(b"A: b\x08c"),
    "escape": _field(b"A: b\x1bc"),
    "DEL": _field(b"A: b\x7fc"),
    "no name": _field(b": b"),
    "no colon": _field(b"A b"),
    "space before the colon": _field(b"A : b"),
    "tab before the colon": _field(b"A\t: b"),
    "space in a name": _field(b"A b: c"),
    "bracket in a name": _field(b"A(: b"),
    "quote in a name": _field(b'A": b'),
    "NUL in a name": _field(b"A\x00: b"),
    "beyond ASCII in a name": _field(b"\xc3\xa9: b"),
    "a long line": _field(b"A: " + b"x" * 8200),
    "a long name": _field(b"A" * 8200 + b": x"),
    "too much in all": _HEAD + b"".join(b"A%d: %b\r\n" % (n, b"x" * 8000) for n in range(5)) + b"\r\n",
    "too many": _HEAD + b"A: b\r\n" * 129 + b"\r\n",
    "no end": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 10_000,
}

LENGTHS = {
    "length and chunks": _HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunks and length": _HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "two lengths": _length(b"Content-Length: 2\r\nContent-Length: 3"),
    "one length twice": _length(b"Content-Length: 2\r\nContent-Length: 2"),
    "a list": _length(b"Content-Length: 2, 2"),
    "plus": _length(b"Content-Length: +2"),
    "minus": _length(b"Content-Length: -2"),
    "hexadecimal": _length(b"Content-Length: 0x2"),
    "a fraction": _length(b"Content-Length: 2.0"),
    "a space within": _length(b"Content-Length: 1 0"),
    "an underscore": _length(b"Content-Length: 1_0"),
    "words": _length(b"Content-Length: two"),
    "nothing": _length(b"Content-Length:"),
    "more than 64 bits": _length(b"Content-Length: 18446744073709551618"),
    "digits of another script": _length("Content-Length: ²".encode()),
    "another coding": _HEAD + b"Transfer-Encoding: gzip\r\n\r\nok",
    "a coding before": _HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "a coding behind": _HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunked twice": _HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "two lines of codings": _HEAD + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n2\r\nok\r\n0\r\n\r\n",
    "identity": _HEAD + b"Transfer-Encoding: identity\r\n\r\nok",
    "nearly chunked": _HEAD + b"Transfer-Encoding: xchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "quoted": _HEAD + b'Transfer-Encoding: "chunked"\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    "chunked with a parameter": _HEAD + b"Transfer-Encoding: chunked;a=b\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "no coding": _HEAD + b"Transfer-Encoding:\r\n\r\nok",
    "chunks in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunks and length without a body": b"HTTP/1.1 204 No\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
}

CHUNKS = {
    "LF for CRLF": _CHUNKED + b"2\nok\r\n0\r\n\r\n",
    "CR for CRLF": _CHUNKED + b"2\rok\r\n0\r\n\r\n",
    "LF behind a chunk": _CHUNKED + b"2\r\nok\n0\r\n\r\n",
    "nothing behind a chunk": _CHUNKED + b"2\r\nok0\r\n\r\n",
    "more than its size": _CHUNKED + b"2\r\nokk\r\n0\r\n\r\n",
    "less than its size": _CHUNKED + b"3\r\nok\r\n0\r\n\r\n",
    "a space behind": _CHUNKED + b"2 \r\nok\r\n0\r\n\r\n",
    "a tab behind": _CHUNKED + b"2\t\r\nok\r\n0\r\n\r\n",
    "a space before": _CHUNKED + b" 2\r\nok\r\n0\r\n\r\n",
    "0x": _CHUNKED + b"0x2\r\nok\r\n0\r\n\r\n",
    "plus": _CHUNKED + b"+2\r\nok\r\n0\r\n\r\n",
    "minus": _CHUNKED + b"-2\r\nok\r\n0\r\n\r\n",
    "no digit": _CHUNKED + b"\r\nok\r\n0\r\n\r\n",
    "no hexadecimal digit": _CHUNKED + b"g\r\nok\r\n0\r\n\r\n",
    "an underscore": _CHUNKED + b"0_2\r\nok\r\n0\r\n\r\n",
    "more than 64 bits": _CHUNKED + b"10000000000000002\r\nok\r\n0\r\n\r\n",
    "many zeros": _CHUNKED + b"0" * 20_000 + b"2\r\nok\r\n0\r\n\r\n",
    "LF in an extension": _CHUNKED + b"2;a\nb\r\nok\r\n0\r\n\r\n",
    "CR in an extension": _CHUNKED + b"2;a\rb\r\nok\r\n0\r\n\r\n",
    "NUL in an extension": _CHUNKED + b"2;a\x00\r\nok\r\n0\r\n\r\n",
    "LF in a quoted extension": _CHUNKED + b'2;a="\n"\r\nok\r\n0\r\n\r\n',
    "a long extension": _CHUNKED + b"2;a=" + b"b" * 20_000 + b"\r\nok\r\n0\r\n\r\n",
    "long trailers": _CHUNKED + b"2\r\nok\r\n0\r\n" + b"A: b\r\n" * 5_000 + b"\r\n",
    "LF behind a trailer": _CHUNKED + b"2\r\nok\r\n0\r\nA: b\nC: d\r\n\r\n",
    "LF as the end": _CHUNKED + b"2\r\nok\r\n0\r\n\n",
    "space before a trailer's colon": _CHUNKED + b"2\r\nok\r\n0\r\nA : b\r\n\r\n",
    "a folded trailer": _CHUNKED + b"2\r\nok\r\n0\r\nA: b\r\n c\r\n\r\n",
    "NUL in a trailer": _CHUNKED + b"2\r\nok\r\n0\r\nA: \x00\r\n\r\n",
    "a length as a trailer": _CHUNKED + b"2\r\nok\r\n0\r\nContent-Length: 2\r\n\r\n",
}

CUT_SHORT = {
    "nothing at all": b"",
    "half of a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "a hint, and no answer": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
    "half of a body": _HEAD + b"Content-Length: 4\r\n\r\nok",
    "half of a chunk": _CHUNKED + b"4\r\nok",
    "no last chunk": _CHUNKED + b"2\r\nok\r\n",
    "no end of the trailers": _CHUNKED + b"2\r\nok\r\n0\r\nA: b\r\n",
    "half of the end": _CHUNKED + b"2\r\nok\r\n0\r\n\r",
}

REFUSED = [
    (f"{group}: {name}", answer)
    for group, cases in (
        ("status line", STATUS_LINES),
        ("field", FIELDS),
        ("length", LENGTHS),
        ("chunk", CHUNKS),
        ("cut short", CUT_SHORT),
    )
    for name, answer in cases.items()
]


class Good(NamedTuple):
    """An answer that has this status and body; `again` tells whether its connection is used again."""

    name: str
    answer: bytes
    body: bytes = b"ok"
    again: bool = True
    method: str = "GET"
    status: int = 200


GOOD = [
    Good("a length", _HEAD + b"Content-Length: 2\r\n\r\nok"),
    Good("length 0", _HEAD + b"Content-Length: 0\r\n\r\n", b""),
    Good("a length with zeros before", _HEAD + b"Content-Length: 0002\r\n\r\nok"),
    Good("spaces around a length", _HEAD + b"Content-Length: \t 2 \t\r\n\r\nok"),
    Good("chunks", _CHUNKED + b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n"),
    Good("no chunk", _CHUNKED + b"0\r\n\r\n", b""),
    Good("chunked in another spelling", _HEAD + b"transfer-ENCODING:CHUNKED \r\n\r\n02\r\nok\r\n00\r\n\r\n"),
    Good("extensions and trailers", _CHUNKED + b'2;a=b;c="d"\r\nok\r\n0;e\r\nF: g\r\nH: i\r\n\r\n'),
    Good("many chunks", _CHUNKED + b"1;extension=x\r\no\r\n" * 3000 + b"0\r\n\r\n", b"o" * 3000),
    Good("until the end", _HEAD + b"\r\nok", again=False),
    Good("until the end, HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\nok", again=False),
    Good("until the end, nothing", _HEAD + b"\r\n", b"", again=False),
    Good("a length in HTTP/1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", again=False),
    Good("close", _HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nok", again=False),
    Good("close in a list", _HEAD + b"Connection: x, CLOSE\r\nContent-Length: 2\r\n\r\nok", again=False),
    Good("close on a second line", _HEAD + b"Connection: x\r\nConnection: close\r\n" + _CHUNKED[17:] + b"0\r\n\r\n", b"", again=False),
    Good("an upgrade that is offered", _HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok"),
    Good("no reason", b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"),
    Good("an empty reason", b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok"),
    Good("an empty field", _HEAD + b"A:\r\nContent-Length: 2\r\n\r\nok"),
    Good("bytes beyond ASCII", _HEAD + b"A: \xc3\xa9 \xff\r\nContent-Length: 2\r\n\r\nok"),
    Good("128 fields", _HEAD + b"A: b\r\n" * 127 + b"Content-Length: 2\r\n\r\nok"),
    Good("HEAD with a length", _HEAD + b"Content-Length: 2\r\n\r\n", b"", method="HEAD"),
    Good("HEAD with chunks", _CHUNKED, b"", method="HEAD"),
    Good("HEAD with neither", _HEAD + b"\r\n", b"", method="HEAD"),
    Good("HEAD with a body", _HEAD + b"Content-Length: 2\r\n\r\nok", b"", again=False, method="HEAD"),
    Good("204", b"HTTP/1.1 204 No Content\r\n\r\n", b"", status=204),
    Good("204 with a body", b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", b"", again=False, status=204),
    Good("304 with a length", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", b"", status=304),
    Good("100 first", b"HTTP/1.1 100 Continue\r\n\r\n" + _HEAD + b"Content-Length: 2\r\n\r\nok"),
    Good("103 and 102 first", b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 102 P\r\n\r\n" + _CHUNKED + b"2\r\nok\r\n0\r\n\r\n"),
    Good("a hint that tells a length", b"HTTP/1.1 103 Hints\r\nContent-Length: 9\r\n\r\n" + _HEAD + b"Content-Length: 2\r\n\r\nok"),
    Good("another answer behind", _HEAD + b"Content-Length: 2\r\n\r\nok" + _HEAD + b"Content-Length: 4\r\n\r\nevil", again=False),
    Good("another answer behind chunks", _CHUNKED + b"2\r\nok\r\n0\r\n\r\n" + _CHUNKED + b"4\r\nevil\r\n0\r\n\r\n", again=False),
    Good("bytes behind", _HEAD + b"Content-Length: 2\r\n\r\nokay", again=False),
    Good("bytes behind chunks", _CHUNKED + b"2\r\nok\r\n0\r\n\r\nx", again=False),
    Good("an empty line behind", _HEAD + b"Content-Length: 2\r\n\r\nok\r\n", again=False),
    Good("an empty line behind chunks", _CHUNKED + b"2\r\nok\r\n0\r\n\r\n\r\n", again=False),
    Good("LF behind chunks", _CHUNKED + b"2\r\nok\r\n0\r\n\r\n\n", again=False),
    Good("an empty line behind trailers", _CHUNKED + b"2\r\nok\r\n0\r\nA: b\r\n\r\n\r\n", again=False),
    Good("status 999", b"HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nok", status=999),
]  # fmt: skip
