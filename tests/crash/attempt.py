"""One request of a caller on a bare connection, and what came of it."""

import asyncio
import random
import socket
from dataclasses import dataclass
from typing import Literal, get_args

from tests.crash.plan import LOOPBACK
from tests.crash.records import Attempt, Ending
from tests.peers.exchange import RESET
from tests.peers.reply import Reply, Source, read_reply

PATIENCE_SECONDS = 7.0
_LEAVING_SHARE = 0.24


@dataclass(frozen=True)
class Call:
    """What a caller wants done, as often as it has to ask for it; `token` is also its Idempotency-Key."""

    token: str
    path: str
    key: str
    size: int
    keyed: bool

    @property
    def body(self) -> bytes:
        return f"{self.token}\n".encode() + bytes(self.size)

    @property
    def head(self) -> bytes:
        lines = [f"POST {self.path} HTTP/1.1", "Host: x", "Connection: close", f"X-API-Key: {self.key}"]
        lines += [f"Idempotency-Key: {self.token}"] if self.keyed else []
        return "\r\n".join([*lines, f"Content-Length: {len(self.body)}", "", ""]).encode()


Moment = Literal["upload", "waiting", "answer"]


_MOMENTS: tuple[Moment, ...] = get_args(Moment)


@dataclass(frozen=True)
class Manner:
    """When the caller hangs up, if it does, after how many seconds more, and whether it resets the connection."""

    leaves: Moment | None
    after_seconds: float
    resets: bool


class Left(Exception):
    """The caller has hung up."""


def manner(source: random.Random) -> Manner:
    """Every fourth caller hangs up at some point."""
    leaves = source.choice(_MOMENTS) if source.random() < _LEAVING_SHARE else None
    return Manner(leaves, source.choice((0, 0, source.uniform(0, 0.1))), resets=source.random() < 0.4)


async def attempt(call: Call, port: int, manner: Manner) -> Attempt:
    """Ask the gateway on `port`; ConnectionRefusedError if nobody is there."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await _ask(call, manner, reader, writer)
    except Left:
        return _nothing(call, "left")
    except TimeoutError:
        return _nothing(call, "gave up")
    finally:
        if manner.resets and not writer.is_closing():
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()


async def _ask(call: Call, manner: Manner, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Attempt:
    body = call.body
    try:
        writer.write(call.head + (body[: len(body) // 2] if manner.leaves == "upload" else body))
        await writer.drain()
    except ConnectionError:
        pass  # what the gateway said before it closed is still to be read
    if manner.leaves == "answer":
        await reader.read(1)
    if manner.leaves is not None:
        await asyncio.sleep(manner.after_seconds)
        raise Left
    try:
        reply = await read_reply(Source(lambda: reader.read(65_536)), "POST")
    except AssertionError as error:
        return _nothing(call, "cut" if isinstance(error.__cause__, EOFError) else "malformed")
    return _seen(call, reply)


def _nothing(call: Call, ending: Ending) -> Attempt:
    return Attempt(call.token, ending, keyed=call.keyed)


def _seen(call: Call, reply: Reply) -> Attempt:
    whole = reply.ending in {"length", "chunked"}
    is_problem = whole and reply.value("Content-Type") == "application/problem+json"
    problem = reply.json() if is_problem else {}
    return Attempt(
        token=call.token,
        ending="answered" if whole else "cut",
        keyed=call.keyed,
        status=reply.status,
        code=problem.get("code"),
        request_id=reply.value("X-Request-ID"),
        own=reply.body.startswith(f"{call.token}\n".encode()),
        charge=problem.get("charge"),
    )
