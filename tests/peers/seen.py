"""What the upstream noted about one request, as it came and as it was answered."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

KEPT_BYTES_MAX = 65536


@dataclass
class Tally:
    """Counts and hashes bytes that flow by, and keeps them while they are few."""

    count: int = 0
    kept: bytes | None = b""
    _hash: "hashlib._Hash" = field(default_factory=hashlib.sha256, repr=False)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def add(self, piece: bytes) -> None:
        self.count += len(piece)
        self._hash.update(piece)
        if self.kept is not None:
            self.kept = self.kept + piece if self.count <= KEPT_BYTES_MAX else None


@dataclass
class Seen:
    """One request: its head byte for byte, its body's tally, and how the exchange went so far."""

    connection: int
    """Which of the upstream's connections carried it, from 1."""
    method: str
    target: bytes
    version: bytes
    headers: list[tuple[bytes, bytes]]
    upload: Tally = field(default_factory=Tally)
    """The request's body, decoded from its chunks."""
    download: Tally = field(default_factory=Tally)
    """The answer's body, before it was put into chunks."""
    complete: bool = False
    """The request's body came to its declared end."""
    broken: bool = False
    """The connection or the framing broke before that end."""
    finished: bool = False
    """The answer was written to its last byte."""
    hung_up: bool = False
    """The caller left before the answer was finished."""

    @property
    def body(self) -> bytes:
        """The request's body; AssertionError when it was too large to be kept."""
        assert self.upload.kept is not None, f"{self.upload.count} bytes came, only the tally was kept"
        return self.upload.kept

    @property
    def path(self) -> str:
        return self.target.partition(b"?")[0].decode("latin-1")

    def values(self, name: str) -> list[str]:
        """Every value of a header, in order, names compared without case."""
        wanted = name.lower().encode("latin-1")
        return [value.decode("latin-1") for given, value in self.headers if given.lower() == wanted]

    def value(self, name: str) -> str | None:
        """The value of a header that may come once; AssertionError when it came more often."""
        found = self.values(name)
        assert len(found) <= 1, f"{name} came {len(found)} times"
        return found[0] if found else None


def parse_head(connection: int, head: bytes) -> Seen:
    """Reads a request head strictly; ValueError when it is not one."""
    request_line, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    method, target, version = request_line.split(b" ")
    headers = [(name, value.strip(b" \t")) for name, value in (line.split(b":", 1) for line in lines)]
    return Seen(connection, method.decode("ascii"), target, version, headers)


Note = Callable[[], None]
"""Called whenever a record has changed, so that whoever waits for it looks again."""
