"""What the worker does with a request: good answers in several forms, and the ways to fail."""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from tests.peers.exchange import RESET, Headers, chunk, head

FAULTS_SHARE = 0.3
_LEFT_SECONDS = 30


@dataclass(frozen=True)
class Answer:
    """The answer to one call: its body, fields that go with a success, and the wire."""

    body: bytes
    fields: Headers
    random: random.Random
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *parts: bytes) -> None:
        """Hand bytes to the kernel; ConnectionError if it takes no more of them."""
        self.writer.write(b"".join(parts))
        await self.writer.drain()

    async def send_head(self, field: str, value: object, status: int = 200) -> None:
        fields = self.fields if status == 200 else ()
        await self.send(head(status, [*fields, (field, str(value))]))

    def pieces(self, count: int) -> Iterator[bytes]:
        """The body in about so many pieces."""
        size = max(1, len(self.body) // count)
        return (self.body[start : start + size] for start in range(0, len(self.body), size))

    def reset(self) -> None:
        """Break the connection with a RST."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.writer.transport.abort()

    async def wait_until_left(self) -> None:
        """Do nothing until the caller closes the connection."""
        async with asyncio.timeout(_LEFT_SECONDS):
            await self.reader.read()


Behaviour = Callable[[Answer], Awaitable[bool]]
"""Answers a request; True if that was a success and the kernel took all of it."""


async def whole(answer: Answer) -> bool:
    await answer.send(head(200, [*answer.fields, ("Content-Length", str(len(answer.body)))]), answer.body)
    return True


async def pieces(answer: Answer) -> bool:
    await answer.send_head("Content-Length", len(answer.body))
    for piece in answer.pieces(4):
        await answer.send(piece)
        await asyncio.sleep(answer.random.uniform(0, 0.02))
    return True


async def chunked(answer: Answer) -> bool:
    await answer.send_head("Transfer-Encoding", "chunked")
    for piece in answer.pieces(3):
        await answer.send(chunk(piece))
        await asyncio.sleep(0)
    await answer.send(chunk(b""))
    return True


async def slow(answer: Answer) -> bool:
    """Pieces with gaps between them: shorter than the gateway's patience, or longer."""
    await answer.send_head("Content-Length", len(answer.body))
    gap_seconds = answer.random.choice((0.3, 1.4))
    for piece in answer.pieces(2):
        await answer.send(piece)
        await asyncio.sleep(gap_seconds)
    return True


async def refusal(answer: Answer) -> bool:
    await answer.send(head(422, [("Content-Length", "2")]), b"no")
    return False


async def failure(answer: Answer) -> bool:
    await answer.send(head(500, [("Content-Length", "4")]), b"oops")
    return False


async def busy(answer: Answer) -> bool:
    await answer.send(head(503, [("Content-Length", "0"), ("Retry-After", "1")]))
    return False


async def reset_before_head(answer: Answer) -> bool:
    answer.reset()
    return False


async def reset_within_body(answer: Answer) -> bool:
    await answer.send_head("Content-Length", len(answer.body))
    await answer.send(next(answer.pieces(2)))
    await asyncio.sleep(answer.random.uniform(0, 0.05))
    answer.reset()
    return False


async def short(answer: Answer) -> bool:
    await answer.send_head("Content-Length", len(answer.body) + 1)
    await answer.send(answer.body)
    answer.writer.close()
    return False


async def silent(answer: Answer) -> bool:
    await answer.wait_until_left()
    return False


async def bad_chunk(answer: Answer) -> bool:
    await answer.send_head("Transfer-Encoding", "chunked")
    await answer.send(chunk(answer.body), b"zz\r\n")
    await answer.wait_until_left()
    return False


GOOD: tuple[Behaviour, ...] = (whole, whole, pieces, chunked)
BAD: tuple[Behaviour, ...] = (
    refusal,
    failure,
    busy,
    reset_before_head,
    reset_within_body,
    short,
    silent,
    slow,
    bad_chunk,
)


def choose(source: random.Random) -> Behaviour:
    """One of the good ones mostly, a fault every third time or so."""
    return source.choice(BAD if source.random() < FAULTS_SHARE else GOOD)
