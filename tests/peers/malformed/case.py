"""One malformed request: its bytes, and what a gateway may answer."""

from dataclasses import dataclass

HOST = b"gateway.test"
KEY = b"@KEY@"
PATH = b"/api/removebg"


@dataclass(frozen=True)
class Malformed:
    """A request that must not reach any upstream."""

    name: str
    raw: bytes
    accepted: frozenset[int] = frozenset({400})
    """The statuses that count as a refusal."""
    late: bool = False
    """The head is fine and the mistake is in the body: the gateway may find it only after the body has begun."""
    framed: bool = False
    """Where the request ends is beyond doubt, so the connection may stay open; else it must be closed."""

    forgivable: bool = False
    """The parser may read it as one clear request (RFC 9112, section 3): then it is served and priced as that one."""

    def __str__(self) -> str:
        return self.name

    def request(self, *, host: bytes = HOST, key: bytes = b"nj_live_none") -> bytes:
        """The bytes to send, for a gateway that goes by this host and a caller with this key."""
        return self.raw.replace(HOST, host).replace(KEY, key)


def post(
    *lines: bytes, body: bytes = b"", target: bytes = PATH, method: bytes = b"POST", version: bytes = b"HTTP/1.1"
) -> bytes:
    """A good POST with a key, and these lines added to its head."""
    start = b" ".join([method, target, version])
    return b"\r\n".join([start, b"Host: " + HOST, b"X-API-Key: " + KEY, *lines, b"", body])
