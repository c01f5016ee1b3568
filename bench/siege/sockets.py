"""How long connections to a port live, as the kernel sees them there.

A caller whose buffer is full does not notice a reset before it reads again, so its own end says nothing.
"""

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

LOOK_SECONDS = 0.5
_ESTABLISHED = "01"


class Lives:
    """Watches connections from `address` to a local port during the block; `longest` is in seconds."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self.count = 0
        self.longest = 0.0
        self._port = f":{port:04X}"
        self._address = _hexadecimal(address)
        self._begun: dict[str, float] = {}

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watching.cancel()
        with suppress(asyncio.CancelledError):
            await self._watching

    @property
    def alive(self) -> int:
        """How many are open now."""
        return len(self._begun)

    async def _watch(self) -> None:
        while True:
            self._look()
            await asyncio.sleep(LOOK_SECONDS)

    def _look(self) -> None:
        now = time.monotonic()
        there = set()
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, state, *_ = line.split()
            if local.endswith(self._port) and state == _ESTABLISHED and remote.startswith(self._address):
                there.add(remote)
        for new in there - self._begun.keys():
            self._begun[new] = now
            self.count += 1
        for gone in self._begun.keys() - there:
            del self._begun[gone]
        self.longest = max([self.longest, *(now - begun for begun in self._begun.values())])


def _hexadecimal(address: str) -> str:
    """As /proc/net/tcp writes it: little-endian."""
    return "".join(f"{int(part):02X}" for part in reversed(address.split("."))) + ":"
