"""What a receiver reads: a message's name, and its bytes (Standard Webhooks, "Payload structure")."""

import json
from datetime import UTC, datetime
from uuid import UUID


def name(id: UUID) -> str:
    """What a receiver knows a message by, however often it comes."""
    return f"msg_{id.hex}"


def body(event: str, happened_at: datetime, data: str) -> bytes:
    """The bytes that are sent and signed, the same at each attempt; `data` is JSON."""
    at = happened_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    told = {"type": event, "timestamp": at, "data": json.loads(data)}
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
