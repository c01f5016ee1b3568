"""Upstreams whose body takes its time or has no end; events and queues drive them, never a clock."""

import asyncio
import hashlib
import random
from collections.abc import Iterator

from tests.peers.exchange import Behaviour, Exchange, Headers, chunk

BLOCK = random.Random(7).randbytes(65536)  # the seed is fixed, so both ends know the hash
END = chunk(b"")


def echo(*, chunked: bool = False) -> Behaviour:
    """Sends each piece back as it arrives; with the request's length where it has one, unless `chunked`."""

    async def behave(exchange: Exchange) -> None:
        length = exchange.seen.value("Content-Length")
        sized = length is not None and not chunked
        kind = exchange.seen.value("Content-Type") or "application/octet-stream"
        await exchange.send_head(200, [("Content-Type", kind), framing(int(length or 0) if sized else None)])
        async for piece in exchange.body:
            await exchange.send_body(piece, chunked=not sized)
        await exchange.send(b"" if sized else END)
        exchange.finish()

    return behave


def generated(total_bytes: int, *, chunked: bool = False) -> Behaviour:
    """A body of any size that is never held in memory; `generated_sha256` tells what must arrive."""

    async def behave(exchange: Exchange) -> None:
        await exchange.read_all()
        await exchange.send_head(200, [framing(None if chunked else total_bytes)])
        for piece in pieces(total_bytes):
            await exchange.send_body(piece, chunked=chunked)
        await exchange.send(END if chunked else b"")
        exchange.finish()

    return behave


def endless(*, chunked: bool = True) -> Behaviour:
    """A body without end, in chunks or until the connection ends."""

    async def behave(exchange: Exchange) -> None:
        await exchange.read_all()
        await exchange.send_head(200, [framing(None)] if chunked else [])
        while True:
            await exchange.send_body(BLOCK, chunked=chunked)

    return behave


def drip(body: list[bytes], tick: asyncio.Event, *, chunked: bool = True) -> Behaviour:
    """Sends the head and the first piece at once, and each further one when the test sets `tick`."""

    async def behave(exchange: Exchange) -> None:
        await exchange.read_all()
        await exchange.send_head(200, [framing(None if chunked else sum(map(len, body)))])
        await exchange.send_body(body[0], chunked=chunked)
        for piece in body[1:]:
            await tick.wait()
            tick.clear()
            await exchange.send_body(piece, chunked=chunked)
        await exchange.send(END if chunked else b"")
        exchange.finish()

    return behave


def gated(gate: asyncio.Event, then: Behaviour) -> Behaviour:
    """Reads the request and answers once the test opens the gate."""

    async def behave(exchange: Exchange) -> None:
        await exchange.read_all()
        await gate.wait()
        await then(exchange)

    return behave


def events(queue: asyncio.Queue[bytes | None], headers: Headers = ()) -> Behaviour:
    """Server-sent events: one for each item that the test puts, until None."""

    async def behave(exchange: Exchange) -> None:
        await exchange.read_all()
        await exchange.send_head(200, [("Content-Type", "text/event-stream"), framing(None), *headers])
        while (item := await queue.get()) is not None:
            await exchange.send_body(b"data: %b\n\n" % item, chunked=True)
        await exchange.send(END)
        exchange.finish()

    return behave


def framing(length: int | None) -> tuple[str, str]:
    return ("Transfer-Encoding", "chunked") if length is None else ("Content-Length", str(length))


def pieces(total_bytes: int) -> Iterator[bytes]:
    """The generated body, piece by piece; also good for uploads."""
    for start in range(0, total_bytes, len(BLOCK)):
        yield BLOCK[: total_bytes - start]


def generated_sha256(total_bytes: int) -> str:
    """The hash of the whole generated body."""
    whole = hashlib.sha256()
    for piece in pieces(total_bytes):
        whole.update(piece)
    return whole.hexdigest()
