"""Host headers that name no host, or more than one."""

from tests.peers.malformed.case import HOST, Malformed, post

FIELD = b"Host: " + HOST
GOOD = post(b"Content-Length: 0")


def _host(name: str, value: bytes) -> Malformed:
    return Malformed(f"host {name}", GOOD.replace(FIELD, b"Host: " + value), frozenset({400, 421}), framed=True)


HOSTS = [
    Malformed("host missing", GOOD.replace(FIELD + b"\r\n", b""), framed=True),
    Malformed("host twice the same", GOOD.replace(FIELD, FIELD + b"\r\n" + FIELD), framed=True),
    Malformed("host twice different", GOOD.replace(FIELD, FIELD + b"\r\nHost: evil.test"), framed=True),
    Malformed("host with space before colon", GOOD.replace(b"Host:", b"Host :")),
    _host("empty", b""),
    _host("with space", b"gateway test"),
    _host("with tab", b"gateway\ttest"),
    _host("with user", b"user@" + HOST),
    _host("with user and password", b"user:word@" + HOST),
    _host("with port not a number", HOST + b":abc"),
    _host("with port too large", HOST + b":65536"),
    _host("with port negative", HOST + b":-1"),
    _host("with two ports", HOST + b":80:80"),
    _host("with port only", b":80"),
    _host("list", HOST + b", evil.test"),
    _host("with path", HOST + b"/evil"),
    _host("with query", HOST + b"?evil"),
    _host("with fragment", HOST + b"#evil"),
    _host("with backslash", HOST + b"\\evil"),
    _host("with scheme", b"http://" + HOST),
    _host("with NUL", HOST + b"\x00"),
    _host("with encoded NUL", HOST + b"%00"),
    _host("with bracket open", b"[::1"),
    _host("with brackets and no address", b"[gateway]"),
    _host("with angle brackets", b"<" + HOST + b">"),
    _host("not ASCII", "gäteway.test".encode()),
]
