"""Spellings of a priced path: each is refused, or is priced like the path itself; never is one served for nothing."""

from dataclasses import dataclass

HOST = b"gateway.test"
REFUSED = frozenset({400, 404, 405})


@dataclass(frozen=True)
class Spelling:
    """A request target that some reader takes for `/api/removebg`."""

    name: str
    target: bytes

    def __str__(self) -> str:
        return self.name

    def request(self, *, host: bytes = HOST, key: bytes = b"nj_live_none", body: bytes = b"picture") -> bytes:
        """A whole POST to it."""
        lines = [
            b"POST %b HTTP/1.1" % self.target.replace(HOST, host),
            b"Host: " + host,
            b"X-API-Key: " + key,
            b"Content-Type: application/octet-stream",
            b"Content-Length: %d" % len(body),
        ]
        return b"\r\n".join([*lines, b"", body])


SPELLINGS = [
    Spelling("as it is", b"/api/removebg"),
    Spelling("with query", b"/api/removebg?size=full"),
    Spelling("with empty query", b"/api/removebg?"),
    Spelling("with path in query", b"/api/removebg?/../../health"),
    Spelling("with fragment", b"/api/removebg#top"),
    Spelling("with encoded fragment", b"/api/removebg%23top"),
    Spelling("with encoded query", b"/api/removebg%3fsize=full"),
    Spelling("slash after", b"/api/removebg/"),
    Spelling("two slashes after", b"/api/removebg//"),
    Spelling("more path after", b"/api/removebg/more"),
    Spelling("slash twice first", b"//api/removebg"),
    Spelling("slash thrice first", b"///api/removebg"),
    Spelling("slash twice within", b"/api//removebg"),
    Spelling("encoded slash", b"/api%2fremovebg"),
    Spelling("encoded slash, upper", b"/api%2Fremovebg"),
    Spelling("encoded slash first", b"/%2fapi/removebg"),
    Spelling("encoded slash after", b"/api/removebg%2f"),
    Spelling("upper case", b"/API/REMOVEBG"),
    Spelling("one letter upper", b"/api/Removebg"),
    Spelling("letter encoded", b"/%61pi/removebg"),
    Spelling("letter encoded, last", b"/api/removeb%67"),
    Spelling("letter encoded, lower hex", b"/ap%69/rem%6fvebg"),
    Spelling("letter encoded, upper hex", b"/ap%69/rem%6Fvebg"),
    Spelling("every letter encoded", b"/%61%70%69/%72%65%6d%6f%76%65%62%67"),
    Spelling("encoded twice", b"/%2561pi/removebg"),
    Spelling("slash encoded twice", b"/api%252fremovebg"),
    Spelling("dot", b"/./api/removebg"),
    Spelling("dot within", b"/api/./removebg"),
    Spelling("dot after", b"/api/removebg/."),
    Spelling("encoded dot", b"/api/%2e/removebg"),
    Spelling("dots out of nothing", b"/x/../api/removebg"),
    Spelling("dots out of a free path", b"/health/../api/removebg"),
    Spelling("dots and back", b"/api/removebg/../removebg"),
    Spelling("encoded dots", b"/health/%2e%2e/api/removebg"),
    Spelling("encoded dots, upper", b"/health/%2E%2E/api/removebg"),
    Spelling("half encoded dots", b"/health/.%2e/api/removebg"),
    Spelling("dots encoded twice", b"/health/%252e%252e/api/removebg"),
    Spelling("dots and encoded slash", b"/health/..%2fapi/removebg"),
    Spelling("dots and parameter", b"/health/..;/api/removebg"),
    Spelling("parameter", b"/api/removebg;v=1"),
    Spelling("parameter empty", b"/api/removebg;"),
    Spelling("parameter within", b"/api;v=1/removebg"),
    Spelling("backslash", b"/api\\removebg"),
    Spelling("backslash first", b"\\api/removebg"),
    Spelling("encoded backslash", b"/api%5cremovebg"),
    Spelling("NUL after", b"/api/removebg%00"),
    Spelling("NUL and suffix", b"/api/removebg%00.html"),
    Spelling("dot at the end", b"/api/removebg."),
    Spelling("suffix", b"/api/removebg.json"),
    Spelling("space after", b"/api/removebg%20"),
    Spelling("space before", b"/api/%20removebg"),
    Spelling("plus after", b"/api/removebg+"),
    Spelling("tab after", b"/api/removebg%09"),
    Spelling("line end after", b"/api/removebg%0a"),
    Spelling("wide letter", b"/%EF%BD%81pi/removebg"),
    Spelling("wide slash", b"/api%EF%BC%8Fremovebg"),
    Spelling("cyrillic letter", b"/%D0%B0pi/removebg"),
    Spelling("combining mark", b"/api/removebg%CC%81"),
    Spelling("zero-width space", b"/api/remove%E2%80%8Bbg"),
    Spelling("byte order mark", b"/%EF%BB%BFapi/removebg"),
    Spelling("letter without its dot", b"/ap%C4%B1/removebg"),
    Spelling("overlong letter", b"/%c1%a1pi/removebg"),
    Spelling("overlong slash", b"/api%c0%afremovebg"),
    Spelling("broken percent", b"/api/removebg%"),
    Spelling("percent u", b"/%u0061pi/removebg"),
    Spelling("absolute, right host", b"http://gateway.test/api/removebg"),
    Spelling("absolute, right host, upper", b"HTTP://GATEWAY.TEST/api/removebg"),
    Spelling("absolute, wrong host", b"http://evil.test/api/removebg"),
    Spelling("absolute, with user", b"http://user@gateway.test/api/removebg"),
    Spelling("absolute, other scheme", b"https://gateway.test/api/removebg"),
    Spelling("absolute, letter encoded", b"http://gateway.test/%61pi/removebg"),
    Spelling("without slash", b"api/removebg"),
]
