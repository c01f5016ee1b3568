"""Request ids, which are charge ids too: UUIDv7, ordered by time. Source: RFC 9562, 5.7."""

import os
import time
from contextvars import ContextVar
from uuid import UUID

current: ContextVar[UUID | None] = ContextVar("request_id", default=None)
"""That of the request which this task works for; what it writes into the log carries it."""


def make() -> UUID:
    """A new id: 48 bits of Unix milliseconds, version and variant, 74 random bits."""
    number = time.time_ns() // 1_000_000 << 80 | int.from_bytes(os.urandom(10))
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=number)
