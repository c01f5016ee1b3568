"""Request ids, which are charge ids too: UUIDv7, ordered by time. Source: RFC 9562, 5.7."""

import os
import time
from uuid import UUID


def make() -> UUID:
    """A new id: 48 bits of Unix milliseconds, version and variant, 74 random bits."""
    number = time.time_ns() // 1_000_000 << 80 | int.from_bytes(os.urandom(10))
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=number)
