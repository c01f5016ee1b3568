"""The good caller: calls at a steady pace from a process of its own, and tells what it was answered and when.

`python -m bench.siege.good URL RATE` reads a key, calls until its input ends, and prints an Account of it.
"""

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import aiohttp

from bench.siege.gateway import ROOT

PICTURE = b"picture " * 1280
ADDRESS = "127.0.0.2"
FAILED = 0  # in place of a status


@dataclass
class Account:
    """How often each status came (0: none did), and the seconds that each call took."""

    statuses: dict[str, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    @property
    def is_spotless(self) -> bool:
        """Whether calls were made, and each was answered with 200."""
        return set(self.statuses) == {"200"}

    @property
    def p99(self) -> float:
        """In seconds."""
        times = sorted(self.seconds) or [0.0]
        return times[min(len(times) - 1, len(times) * 99 // 100)]

    def __str__(self) -> str:
        """Statuses, and the time of a call: median, 99th percentile and maximum in milliseconds."""
        statuses = ", ".join(f"{count} x {status}" for status, count in sorted(self.statuses.items()))
        p50, longest = statistics.median(self.seconds or [0.0]), max(self.seconds, default=0.0)
        return f"{statuses}; p50 {p50 * 1000:.1f} ms, p99 {self.p99 * 1000:.1f} ms, max {longest * 1000:.0f} ms"


@contextmanager
def calling(url: str, key: str, rate: float = 20.0) -> Iterator[Account]:
    """Pay for `rate` calls a second until the block ends; what came of it is in the Account then."""
    words = [sys.executable, "-m", "bench.siege.good", url, str(rate)]
    account = Account()
    with subprocess.Popen(  # noqa: S603 (our own words)
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        process.stdin.write(key + "\n")
        process.stdin.flush()
        yield account
        told = json.loads(process.communicate()[0])
    account.statuses, account.seconds = told["statuses"], told["seconds"]


async def main(url: str, rate: float) -> None:
    """Call until the input ends, each call on time however long others take."""
    key = sys.stdin.readline().strip()
    end = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    clock = asyncio.get_running_loop().time
    connector = aiohttp.TCPConnector(local_addr=(ADDRESS, 0), limit=0)
    statuses: Counter[str] = Counter()
    seconds: list[float] = []
    async with (
        aiohttp.ClientSession(
            url, connector=connector, timeout=aiohttp.ClientTimeout(total=20), headers={"X-API-Key": key}
        ) as session,
        asyncio.TaskGroup() as calls,
    ):
        due = clock()
        while not end.done():
            calls.create_task(_call(session, seconds, statuses))
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - clock()))
    print(json.dumps({"statuses": statuses, "seconds": seconds}))


async def _call(session: aiohttp.ClientSession, seconds: list[float], statuses: Counter[str]) -> None:
    began = time.perf_counter()
    status = FAILED
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with session.post("/api/removebg", data=PICTURE) as answer:
            await answer.read()
            status = answer.status
    statuses[str(status)] += 1
    seconds.append(time.perf_counter() - began)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
