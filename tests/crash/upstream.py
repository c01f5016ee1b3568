"""The worker of a run: `python -m tests.crash.upstream PORT LOG SEED` serves until its input ends.

It survives everything, and notes each request in LOG, a line of JSON each, when it is done with it.
"""

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import IO

from tests.crash.behaviours import Answer, choose
from tests.crash.plan import LOOPBACK
from tests.crash.records import Work
from tests.peers.seen import Seen, parse_head

_COSTS: tuple[tuple[str | None, int | None], ...] = (
    ("0.25", 250_000),
    ("1", 1_000_000),
    ("1.5", 1_500_000),
    ("2", 2_000_000),
    (None, None),
    ("lots", None),
    ("99", None),
)
"""What it reports, and the micro-credits that this means, if it means any: "99" is more than is ever held."""


class Upstream:
    """Answers each request by a behaviour that depends on the seed, the call and how often it came."""

    def __init__(self, log: IO[str], seed: str) -> None:
        self._log = log
        self._seed = seed
        self._came: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        # What `drain` returned from is then with the kernel.
        writer.transport.set_write_buffer_limits(0)
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, EOFError, TimeoutError):
            pass  # callers leave; gateways are killed
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection may carry another request."""
        seen = parse_head(0, await reader.readuntil(b"\r\n\r\n"))
        body, whole = await _body(reader, int(seen.value("Content-Length") or 0))
        token = body.split(b"\n")[0].decode() if b"\n" in body else None
        source = random.Random(f"{self._seed}/{token}/{self._came[token or '']}")
        self._came[token or ""] += 1
        reported, cost = source.choice(_COSTS)
        finished = False
        try:
            if whole and token:
                fields = [] if reported is None else [("X-Nijika-Cost", reported)]
                answer = Answer(_result(token, source), fields, source, reader, writer)
                finished = await choose(source)(answer)
        finally:
            self._note(seen, token, whole, finished, cost)
        return finished

    def _note(self, seen: Seen, token: str | None, uploaded: bool, finished: bool, cost: int | None) -> None:
        work = Work(seen.value("X-Request-ID") or "", token, uploaded, finished, cost)
        print(json.dumps(asdict(work)), file=self._log)


async def _body(reader: asyncio.StreamReader, size: int) -> tuple[bytes, bool]:
    """What came of the upload, and whether that is all of it."""
    try:
        return await reader.readexactly(size), True
    except asyncio.IncompleteReadError as error:
        return error.partial, False
    except OSError:
        return b"", False


def _result(token: str, source: random.Random) -> bytes:
    return f"{token}\n".encode() + bytes(source.choice((10, 3_000, 60_000)))


def read(log: Path) -> Iterable[Work]:
    """The requests that a worker has noted."""
    return [Work(**json.loads(line)) for line in log.read_text().splitlines()]


async def _serve(port: int, log: IO[str], seed: str) -> None:
    server = await asyncio.start_server(Upstream(log, seed).serve, LOOPBACK, port, backlog=1024)
    async with server:
        await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    """Serve until standard input ends."""
    port, log, seed = sys.argv[1:]
    with Path(log).open("a", buffering=1) as file:
        asyncio.run(_serve(int(port), file, seed))


if __name__ == "__main__":
    main()
