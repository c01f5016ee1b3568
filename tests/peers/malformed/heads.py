"""Request lines and header lines that are not HTTP/1.1."""

from tests.peers.malformed.case import HOST, PATH, Malformed, post

TOO_LARGE = frozenset({400, 414, 431})
VERSION = frozenset({400, 505})
METHOD = frozenset({400, 405, 501})
EMPTY = b"Content-Length: 0"


def _start(
    name: str, line: bytes, accepted: frozenset[int] = frozenset({400}), *, forgivable: bool = False
) -> Malformed:
    head = post(EMPTY).partition(b"\r\n")[2]
    return Malformed(f"start {name}", line + b"\r\n" + head, accepted, forgivable=forgivable)


def _header(name: str, line: bytes) -> Malformed:
    return Malformed(f"header {name}", post(EMPTY, line))


HEADS = [
    Malformed("version missing, HTTP/0.9", b"GET " + PATH + b"\r\n\r\n", VERSION),
    Malformed("version 2.0 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VERSION),
    Malformed("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    _start("without version, with headers", b"POST " + PATH, VERSION),
    _start("version 0.9", b"POST " + PATH + b" HTTP/0.9", VERSION),
    _start("version 1.2", b"POST " + PATH + b" HTTP/1.2", VERSION),
    _start("version 2.0", b"POST " + PATH + b" HTTP/2.0", VERSION),
    _start("version 1.10", b"POST " + PATH + b" HTTP/1.10", VERSION),
    _start("version 1", b"POST " + PATH + b" HTTP/1", VERSION),
    _start("version 1.1x", b"POST " + PATH + b" HTTP/1.1x", VERSION),
    _start("version 01.1", b"POST " + PATH + b" HTTP/01.1", VERSION),
    _start("version lower case", b"POST " + PATH + b" http/1.1", VERSION),
    _start("version of another protocol", b"POST " + PATH + b" RTSP/1.0", VERSION, forgivable=True),
    _start("version torn", b"POST " + PATH + b" HTTP /1.1", VERSION),
    _start("space after version", b"POST " + PATH + b" HTTP/1.1 "),
    _start("two spaces after method", b"POST  " + PATH + b" HTTP/1.1", forgivable=True),
    _start("two spaces before version", b"POST " + PATH + b"  HTTP/1.1", forgivable=True),
    _start("space first", b" POST " + PATH + b" HTTP/1.1"),
    _start("tabs", b"POST\t" + PATH + b"\tHTTP/1.1"),
    _start("tab before version", b"POST " + PATH + b"\tHTTP/1.1"),
    _start("space in target", b"POST /api/remove bg HTTP/1.1"),
    _start("CR within", b"POST " + PATH + b"\rHTTP/1.1"),
    _start("without target", b"POST HTTP/1.1"),
    _start("without method", PATH + b" HTTP/1.1"),
    _start("method with parenthesis", b"PO(ST " + PATH + b" HTTP/1.1", METHOD),
    _start("method with NUL", b"POST\x00 " + PATH + b" HTTP/1.1", METHOD),
    _start("method with colon", b"POST: " + PATH + b" HTTP/1.1", METHOD),
    _start("method not ASCII", b"P\xc3\x96ST " + PATH + b" HTTP/1.1", METHOD),
    _start("method endless", b"P" * 9000 + b" " + PATH + b" HTTP/1.1", METHOD | TOO_LARGE),
    _start("endless", b"POST " + PATH + b"?q=" + b"q" * 9000 + b" HTTP/1.1", TOO_LARGE),
    Malformed("lines end in LF", post(EMPTY).replace(b"\r\n", b"\n")),
    Malformed("lines end in CR", post(EMPTY).replace(b"\r\n", b"\r") + b"\r\n\r\n"),
    _header("ends in LF", b"X-A: 1\nX-B: 2"),
    _header("with CR within", b"X-A: 1\rX-B: 2"),
    _header("with NUL", b"X-A: 1\x002"),
    _header("with control byte", b"X-A: 1\x012"),
    _header("with DEL", b"X-A: 1\x7f2"),
    _header("folded", b"X-A: 1\r\n 2"),
    _header("folded by tab", b"X-A: 1\r\n\t2"),
    _header("without colon", b"X-A 1"),
    _header("without name", b": 1"),
    _header("with space before colon", b"X-A : 1"),
    _header("with space in name", b"X A: 1"),
    _header("with high bytes in name", b"X-\xc3\xa4: 1"),
    _header("with NUL in name", b"X-\x00A: 1"),
    _header("with parenthesis in name", b"X(A): 1"),
    _header("with brackets in name", b"X[A]: 1"),
    Malformed("header indented first", post(EMPTY).replace(b"Host:", b" Host:", 1)),
    Malformed("header line endless", post(EMPTY, b"X-A: " + b"a" * 9000), TOO_LARGE),
    Malformed("header name endless", post(EMPTY, b"X" * 9000 + b": 1"), TOO_LARGE),
    Malformed("headers too many", post(EMPTY, *(b"X-%d: 1" % n for n in range(200))), TOO_LARGE),
    Malformed(
        "host only in target", post(EMPTY, target=b"http://" + HOST + PATH).replace(b"Host: " + HOST + b"\r\n", b"")
    ),
]
