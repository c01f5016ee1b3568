"""What a gateway remembers of 300,000 callers that a trusted proxy tells of: a bounded number of them.

`python -m bench.siege addresses`: each address calls once with a key that is none, so that the rule of its path and the
count of wrong keys know it. The shipped rates and bounds stay as they are.
"""

import asyncio
import os
import tempfile
from collections import Counter
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import urlsplit

from bench.siege.calls import WRONG
from bench.siege.gateway import Gateway, initialised, served

TRUSTED = {"trusted_proxies = []": 'trusted_proxies = ["127.0.0.0/8"]', '# failures = "20/m"': 'failures = "20/m"'}
FIRST = int(IPv4Address("11.0.0.0"))
STRIDE = 257
PROXIES, BATCH = 8, 50
GROWTH_MB_MAX = 40.0
WARM_ADDRESSES = 2000


async def main(count: int, processes: int) -> bool:
    """Whether resident memory grew by less than GROWTH_MB_MAX in each process."""
    with tempfile.TemporaryDirectory() as folder:
        changes = {**TRUSTED, "processes = 1 ": f"processes = {processes} "}
        file = await asyncio.to_thread(initialised, Path(folder) / "gateway", changes)
        with served(file) as gateway:
            await _called(gateway, range(WARM_ADDRESSES))
            before = gateway.rss_mb()
            answers = await _called(gateway, range(WARM_ADDRESSES, WARM_ADDRESSES + count))
            after = gateway.rss_mb()
    growth = (after - before) / processes
    told = ", ".join(f"{number} x {status}" for status, number in sorted(answers.items()))
    print(f"{count} addresses, {processes} processes: {told}, load average {os.getloadavg()[0]:.1f}")
    print(f"RSS {before:.0f} -> {after:.0f} MB, {growth:.1f} MB more in each")
    return growth < GROWTH_MB_MAX


async def _called(gateway: Gateway, numbers: range) -> Counter[str]:
    """What callers of these numbers were answered, through a few proxies that keep their connections."""
    answers: Counter[str] = Counter()
    async with asyncio.TaskGroup() as group:
        for proxy in range(PROXIES):
            group.create_task(_proxy(gateway, numbers[proxy::PROXIES], answers))
    return answers


async def _proxy(gateway: Gateway, numbers: range, answers: Counter[str]) -> None:
    place = urlsplit(gateway.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    for start in range(0, len(numbers), BATCH):
        asked = [_asked(place.netloc, number) for number in numbers[start : start + BATCH]]
        writer.write(b"".join(asked))
        for _ in asked:
            answers[await _status(reader)] += 1
    writer.close()


def _asked(host: str, number: int) -> bytes:
    address = IPv4Address(FIRST + number * STRIDE)
    fields = f"Host: {host}\r\nX-Forwarded-For: {address}\r\nX-API-Key: {WRONG}"
    return f"GET /api/account HTTP/1.1\r\n{fields}\r\n\r\n".encode()


async def _status(reader: asyncio.StreamReader) -> str:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next(line.split(":")[1] for line in head.splitlines() if line.lower().startswith("content-length:"))
    await reader.readexactly(int(length))
    return head.split()[1]
