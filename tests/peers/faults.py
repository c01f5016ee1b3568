"""Upstreams that break: silent ones, torn connections, and bytes that are not HTTP.

`apart` sends the mistake in a segment of its own, when the caller has the head and works on the body already: parsers
that refuse the whole at once have been seen to hang, or to lend the stray bytes to the next caller.
"""

import asyncio

from tests.peers.exchange import Behaviour, Exchange, Headers, chunk, head

SEGMENT_SECONDS = 0.05  # enough for a caller on this machine to have parsed what came; the tests do not measure it


async def unread(exchange: Exchange) -> None:
    """Reads the head, then neither the body nor answers; does not notice when the caller leaves."""
    exchange.stop_reading()
    await exchange.hang_up()


async def unanswered(exchange: Exchange) -> None:
    """Reads the whole request and never answers."""
    await exchange.read_all()
    await exchange.hang_up()


async def closed(exchange: Exchange) -> None:
    """Reads the whole request and closes without a word."""
    await exchange.read_all()


def silent_after(body: bytes = b"", headers: Headers = (("Content-Length", "1000"),), status: int = 200) -> Behaviour:
    """Sends a head and perhaps the beginning of a body, then nothing more."""

    async def behave(exchange: Exchange) -> None:
        await exchange.read_all()
        await exchange.send_head(status, headers)
        await exchange.send_body(body)
        await exchange.hang_up()

    return behave


def reset(*, upload_bytes: int | None = None) -> Behaviour:
    """RST instead of an answer: after the whole upload, or as soon as this many bytes of it have come."""

    async def behave(exchange: Exchange) -> None:
        while not exchange.seen.complete and (upload_bytes is None or exchange.seen.upload.count < upload_bytes):
            await anext(exchange.body, b"")
        exchange.reset()

    return behave


def reset_at(body_bytes: int, *, chunked: bool = False, declared_bytes: int | None = None) -> Behaviour:
    """A good head and this many bytes of the body, then RST."""

    async def behave(exchange: Exchange) -> None:
        await exchange.read_all()
        length = ("Content-Length", str(declared_bytes or body_bytes + 1000))
        await exchange.send_head(200, [("Transfer-Encoding", "chunked") if chunked else length])
        if body_bytes:
            await exchange.send_body(b"x" * body_bytes, chunked=chunked)
        exchange.reset()

    return behave


def short(body: bytes = b"half", missing_bytes: int = 4) -> Behaviour:
    """Closes before its Content-Length is reached."""
    return raw(head(200, [("Content-Length", str(len(body) + missing_bytes))]) + body)


def long(body: bytes = b"whole", extra: bytes = b"and more", *, close: bool = False, apart: bool = False) -> Behaviour:
    """Sends more than its Content-Length, on a connection that it keeps or closes; `apart` cuts within the body."""
    begin = head(200, [("Content-Length", str(len(body)))]) + body[:1]
    return raw(begin, body[1:] + extra, finished=True, close=close, apart=apart)


def twice(body: bytes = b"mine", stray: bytes = b"yours", *, apart: bool = False) -> Behaviour:
    """Sends a second answer that nobody asked for, and keeps the connection: the next caller might be given it."""
    second = head(200, [("Content-Length", str(len(stray)))]) + stray
    return long(body, second, apart=apart)


def unfinished(body: bytes = b"almost all") -> Behaviour:
    """Chunked, closed before the last chunk."""
    return raw(head(200, [("Transfer-Encoding", "chunked")]) + chunk(body))


def torn(body: bytes = b"half of a chunk") -> Behaviour:
    """Chunked, closed within a chunk."""
    return raw(head(200, [("Transfer-Encoding", "chunked")]) + b"%x\r\n%b" % (len(body) * 2, body))


def bad_chunk(body: bytes = b"fine so far", size_line: bytes = b"zz\r\n", *, apart: bool = False) -> Behaviour:
    """Chunked, with one good chunk and then something that is not a size; then waits for the caller to leave."""
    begin = head(200, [("Transfer-Encoding", "chunked")]) + chunk(body)
    return raw(begin, size_line + b"junk", stay=True, apart=apart)


def garbage(line: bytes = b"SSH-2.0-OpenSSH_9.2\r\n\r\n") -> Behaviour:
    """Another protocol where the status line belongs."""
    return raw(line)


def huge_header(value_bytes: int = 1 << 20) -> Behaviour:
    """A header beyond every sane limit."""
    return raw(head(200, [("X-Huge", "h" * value_bytes), ("Content-Length", "0")]), finished=True)


def two_lengths(first: int = 4, second: int = 8, body: bytes = b"12345678") -> Behaviour:
    """Two different Content-Lengths in one answer."""
    return raw(head(200, [("Content-Length", str(first)), ("Content-Length", str(second))]) + body, finished=True)


def length_and_chunks(body: bytes = b"which is it") -> Behaviour:
    """Content-Length together with Transfer-Encoding."""
    both = [("Content-Length", "4"), ("Transfer-Encoding", "chunked")]
    return raw(head(200, both) + chunk(body) + chunk(b""), finished=True)


def body_where_none_belongs(status: int = 204, body: bytes = b"stowaway") -> Behaviour:
    """A body after 204 or 304, or after any answer to HEAD."""
    return raw(head(status, [("Content-Length", str(len(body)))]) + body, finished=True)


def stale(then: Behaviour, *, with_reset: bool = False) -> Behaviour:
    """Answers well and keeps the connection, but closes it the moment that the next request comes on it."""

    async def behave(exchange: Exchange) -> None:
        await then(exchange)
        if await exchange.reader.read(1) and with_reset:
            exchange.reset()
        exchange.writer.close()

    return behave


def raw(
    *parts: bytes, finished: bool = False, close: bool = False, stay: bool = False, apart: bool = False
) -> Behaviour:
    """Reads the request, sends just these bytes, keeps the connection if `finished`, waits if `stay`, or closes."""

    async def behave(exchange: Exchange) -> None:
        await exchange.read_all()
        for part in parts if apart else [b"".join(parts)]:
            await exchange.send(part)
            await asyncio.sleep(SEGMENT_SECONDS if apart else 0)
        if stay:
            await exchange.hang_up()
        if finished:
            exchange.finish(close=close)

    return behave
