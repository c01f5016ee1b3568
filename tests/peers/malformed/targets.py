"""Request targets that mean one thing to one reader and another to the next."""

from tests.peers.malformed.case import HOST, PATH, Malformed, post

LOST = frozenset({400, 404})
METHOD = frozenset({400, 404, 405, 501})
EMPTY = b"Content-Length: 0"


def _target(name: str, target: bytes, accepted: frozenset[int] = LOST, method: bytes = b"POST") -> Malformed:
    return Malformed(f"target {name}", post(EMPTY, target=target, method=method), accepted, framed=True)


TARGETS = [
    _target("with NUL", PATH + b"\x00"),
    _target("with control byte", PATH + b"\x01"),
    _target("with DEL", PATH + b"\x7f"),
    _target("with tab", b"/api/\tremovebg"),
    _target("not ASCII", "/api/rémovebg".encode()),
    _target("not ASCII in query", PATH + "?q=é".encode()),
    _target("with control byte in query", PATH + b"?q=\x01"),
    _target("with fragment", PATH + b"#top"),
    _target("without slash", b"api/removebg"),
    _target("absolute, another host", b"http://evil.test" + PATH, frozenset({400, 404, 421})),
    _target("absolute, another port", b"http://" + HOST + b":1" + PATH, frozenset({400, 404, 421})),
    _target("absolute, another scheme", b"ftp://" + HOST + PATH, frozenset({400, 404, 421})),
    _target("absolute, with user", b"http://user@" + HOST + PATH, frozenset({400, 404, 421})),
    _target("absolute, without host", b"http://" + PATH, frozenset({400, 404, 421})),
    _target("absolute, host with port not a number", b"http://" + HOST + b":abc" + PATH),
    _target("asterisk for POST", b"*", METHOD),
    _target("asterisk for GET", b"*", METHOD, b"GET"),
    _target("authority for POST", HOST + b":80", METHOD),
    _target("authority for GET", HOST + b":80", METHOD, b"GET"),
    Malformed("CONNECT", b"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n", METHOD),
    Malformed("CONNECT to a path", post(method=b"CONNECT"), METHOD),
    _target("TRACE", PATH, METHOD, b"TRACE"),
    _target("dot", b"/api/./removebg"),
    _target("two dots", b"/free/../api/removebg"),
    _target("two dots at the end", PATH + b"/x/.."),
    _target("two dots above the root", b"/../api/removebg"),
    _target("encoded dot", b"/api/%2e/removebg"),
    _target("encoded dots", b"/free/%2e%2e/api/removebg"),
    _target("half encoded dots", b"/free/.%2E/api/removebg"),
    _target("encoded slash", b"/api%2fremovebg"),
    _target("encoded slash upper", b"/free%2F..%2Fapi/removebg"),
    _target("encoded backslash", b"/free%5c..%5capi/removebg"),
    _target("encoded NUL", PATH + b"%00"),
    _target("encoded NUL and suffix", PATH + b"%00.png"),
    _target("encoded line end", PATH + b"%0d%0aX-Evil:1"),
    _target("two slashes first", b"//api/removebg"),
    _target("two slashes first, a host", b"//evil.test/api/removebg"),
    _target("two slashes within", b"/api//removebg"),
    _target("backslash", b"\\api\\removebg"),
    _target("backslash within", b"/api\\removebg"),
    _target("dots by backslash", b"/free\\..\\api/removebg"),
    _target("percent and no digits", PATH + b"%zz"),
    _target("percent and one digit", PATH + b"%2"),
    _target("percent alone", PATH + b"%"),
    _target("percent u", b"/api/%u0072emovebg"),
    _target("overlong dots", b"/free/%c0%ae%c0%ae/api/removebg"),
    _target("overlong slash", b"/api%c0%afremovebg"),
    _target("overlong slash, three bytes", b"/api%e0%80%afremovebg"),
    _target("half a surrogate", PATH + b"%ed%a0%80"),
    _target("not UTF-8", PATH + b"%ff"),
]
