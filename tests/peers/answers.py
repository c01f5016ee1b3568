"""Upstreams that behave: they answer what HTTP allows, though not always what one hopes for."""

import gzip as gzip_format
import json
import re

from tests.peers.exchange import Behaviour, Exchange, Headers, head

SECRET = b"Traceback: connect to postgresql://worker:hunter2@10.1.2.3/gpu failed; MODAL_TOKEN_SECRET=as-Ym9ndXM"

LEAKS = [
    ("Server", "worker/1.2.3 CUDA/12"),
    ("Set-Cookie", "session=upstream; Path=/"),
    ("Location", "https://worker--internal.modal.run/result"),
    ("Modal-Function-Call-Id", "fc-01JABCDEF"),
    ("X-Nijika-Cost", "0.0042"),
    ("Connection", "X-Only-This-Hop"),
    ("X-Only-This-Hop", "between worker and gateway"),
    ("Keep-Alive", "timeout=5"),
    ("X-Engine", "classic"),
]
"""Headers that concern the gateway or nobody, and one that the caller may see (X-Engine)."""


def answer(status: int = 200, body: bytes = b"", headers: Headers = (), *, chunked: bool = False) -> Behaviour:
    """Reads the request, then answers like this; a body is left out where none belongs (HEAD, 204, 304)."""

    async def behave(exchange: Exchange) -> None:
        await exchange.read_all()
        framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(body)))
        await exchange.send_head(status, [*headers, *([framing] if status not in {204, 304} else [])])
        if body and status not in {204, 304} and exchange.seen.method != "HEAD":
            await exchange.send_body(body, chunked=chunked)
        if chunked and exchange.seen.method != "HEAD":
            await exchange.send(b"0\r\n\r\n")
        exchange.finish()

    return behave


def digest() -> Behaviour:
    """Swallows an upload of any size and answers with its length and SHA-256 as JSON."""

    async def behave(exchange: Exchange) -> None:
        await exchange.read_all()
        came = {"bytes": exchange.seen.upload.count, "sha256": exchange.seen.upload.sha256}
        await answer(200, json.dumps(came).encode(), [("Content-Type", "application/json")])(exchange)

    return behave


def starting(retry_after: str | None = "1") -> Behaviour:
    """503 as a worker says it while it starts; plan it n times before the answer that follows."""
    return answer(503, b"starting", [("Retry-After", retry_after)] if retry_after else [])


def too_many(retry_after: str = "7") -> Behaviour:
    """429 of the worker's own."""
    return answer(429, b"slow down", [("Retry-After", retry_after)])


def failed(status: int = 500) -> Behaviour:
    """5xx with a body that must stay between the worker and the gateway."""
    return answer(status, SECRET, [("Content-Type", "text/plain"), *LEAKS])


def leaking(status: int = 200, body: bytes = b"picture") -> Behaviour:
    """A good answer with every header that must not reach the caller."""
    return answer(status, body, LEAKS)


def early(status: int, body: bytes = b"", headers: Headers = (), *, ending: str = "keep") -> Behaviour:
    """Answers before the upload was read, then "keep"s reading, "close"s at once, or "linger"s to its end."""
    assert ending in {"keep", "close", "linger"}

    async def behave(exchange: Exchange) -> None:
        farewell = [] if ending == "keep" else [("Connection", "close")]
        await exchange.send_head(status, [*headers, *farewell, ("Content-Length", str(len(body)))])
        await exchange.send_body(body)
        exchange.finish(close=ending != "keep")
        if ending == "linger":
            exchange.writer.write_eof()
            await exchange.read_all()

    return behave


def gzip(body: bytes) -> Behaviour:
    """The body compressed, and named so."""
    return answer(200, gzip_format.compress(body, mtime=0), [("Content-Encoding", "gzip")])


def ranged(body: bytes) -> Behaviour:
    """206 with the part that `Range: bytes=a-b` asks for, else the whole."""

    async def behave(exchange: Exchange) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", exchange.seen.value("Range") or "")
        if not asked:
            return await answer(200, body, [("Accept-Ranges", "bytes")])(exchange)
        first, last = int(asked[1]), min(int(asked[2]), len(body) - 1)
        span = f"bytes {first}-{last}/{len(body)}"
        return await answer(206, body[first : last + 1], [("Content-Range", span)])(exchange)

    return behave


def interim(*statuses: int, then: Behaviour) -> Behaviour:
    """Sends 1xx answers before the final one."""

    async def behave(exchange: Exchange) -> None:
        for status in statuses:
            await exchange.send(head(status, [("Link", "</style.css>; rel=preload")] if status == 103 else []))
        await then(exchange)

    return behave


def until_eof(body: bytes) -> Behaviour:
    """A body whose end is the end of the connection."""

    async def behave(exchange: Exchange) -> None:
        await exchange.read_all()
        await exchange.send_head(200, [("Connection", "close")])
        await exchange.send_body(body)
        exchange.finish(close=True)

    return behave
