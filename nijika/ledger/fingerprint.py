"""What a call asks for, as a digest that grows while the body flows: the same call again has the same one."""

import hashlib
import re

from nijika.errors import IdempotencyKeyReused

_BOUNDARY = re.compile(r'multipart/.*;\s*boundary=(?:"([^"]{1,70})"|([^\s;]{1,70}))', re.IGNORECASE | re.DOTALL)


class Fingerprint:
    """The SHA-256 of `target` (path and query) and of the body's bytes.

    Of a multipart body the boundary does not count: clients choose a new one for each attempt. With `expected`, the
    digest of an earlier attempt, `finish` raises IdempotencyKeyReused unless this is the same call.
    """

    def __init__(self, target: str, content_type: str = "") -> None:
        self.expected: bytes | None = None
        self.digest: bytes | None = None
        self._hash = hashlib.sha256(target.encode() + b"\n")
        match = _BOUNDARY.match(content_type)
        self._boundary = b"--" + (match[1] or match[2]).encode() if match else b""
        self._rest = b""

    def update(self, piece: bytes) -> None:
        """The next piece of the body."""
        if not self._boundary:
            self._hash.update(piece)
            return
        # A boundary may lie across two pieces, so what could be the beginning of one waits for the next.
        *before, rest = (self._rest + piece).split(self._boundary)
        for part in before:
            self._hash.update(part + b"--")
        kept = min(len(rest), len(self._boundary) - 1)
        self._hash.update(rest[: len(rest) - kept])
        self._rest = rest[len(rest) - kept :]

    def finish(self) -> None:
        """The body is complete."""
        if self.digest is None:
            self._hash.update(self._rest)
            self.digest = self._hash.digest()
        if self.expected is not None and self.digest != self.expected:
            raise IdempotencyKeyReused
