"""What a call asks for, as a digest that grows while the body flows: the same call again has the same one."""

import hashlib
import re

from nijika.errors import IdempotencyKeyReused

_BOUNDARY = re.compile(r'multipart/.*;\s*boundary=(?:"([^"]{1,70})"|([^\s;]{1,70}))', re.IGNORECASE | re.DOTALL)


class Fingerprint:
    """The SHA-256 of `target` (path and query) and of the body's bytes.

    A multipart body counts part by part, without its boundary: clients choose a new one for each attempt. With
    `expected`, the digest of an earlier attempt, `finish` raises IdempotencyKeyReused unless this is the same call.
    """

    def __init__(self, target: str, content_type: str = "") -> None:
        self.expected: bytes | None = None
        self.digest: bytes | None = None
        match = _BOUNDARY.match(content_type)
        self._boundary = b"--" + (match[1] or match[2]).encode() if match else b""
        # No plain body is the same as a form, and no part can pretend to be two.
        self._parts = hashlib.sha256(target.encode() + (b"\nform\n" if match else b"\nplain\n"))
        self._part = hashlib.sha256()
        self._rest = b""

    def update(self, piece: bytes) -> None:
        """The next piece of the body."""
        if not self._boundary:
            self._part.update(piece)
            return
        # A boundary may lie across two pieces, so what could be the beginning of one waits for the next.
        *before, rest = (self._rest + piece).split(self._boundary)
        for end in before:
            self._part.update(end)
            self._parts.update(self._part.digest())
            self._part = hashlib.sha256()
        kept = min(len(rest), len(self._boundary) - 1)
        self._part.update(rest[: len(rest) - kept])
        self._rest = rest[len(rest) - kept :]

    def finish(self) -> None:
        """The body is complete."""
        if self.digest is None:
            self._part.update(self._rest)
            self._parts.update(self._part.digest())
            self.digest = self._parts.digest()
        if self.expected is not None and self.digest != self.expected:
            raise IdempotencyKeyReused
