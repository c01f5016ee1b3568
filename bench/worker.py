"""Pictures a second: the worker beside the two usual ways to serve a network; `python -m bench.worker --help`.

All answer the same ellipse after 60 ms; contenders take turns within each round. Source of the comparison: issue 5.
"""

import argparse
import asyncio
import io
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import numpy as np
from PIL import Image

SAMPLE = Path(__file__).parents[1] / "samples" / "mug.jpg"
SIDES = {1: (1154, 866), 12: (4000, 3000), 24: (5656, 4242)}
KINDS: dict[str, tuple[str, dict[str, int]]] = {
    "jpg": ("JPEG", {"quality": 88}),
    "webp": ("WEBP", {"quality": 80, "method": 0}),
    "png": ("PNG", {"compress_level": 1}),
}
ONE_BY_ONE, ONE_IMAGE, OURS = "one-by-one", "one-image", "ours"


@dataclass(frozen=True)
class Case:
    """One cell of the table; the servers that are compared with answer PNG."""

    server: str
    megapixels: int
    kind: str
    form: str
    clients: int


@dataclass
class Figures:
    """Of all rounds: pictures a second, the seconds of every call, and the longest that the loop was blocked."""

    rates: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    blocked: list[float] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak_mib: float = 0

    @property
    def rate(self) -> float:
        """The median."""
        return statistics.median(self.rates)


def picture(megapixels: int, kind: str) -> bytes:
    """The sample drawn up to that size, with the grain of a camera: as a JPEG some 3 MB for 12 megapixels.

    PNG and WebP bring transparency with them, which JPEG cannot.
    """
    with Image.open(SAMPLE) as sample:
        pixels = np.asarray(sample.convert("RGB").resize(SIDES[megapixels], Image.Resampling.LANCZOS), np.int16)
    grain = np.random.default_rng(1).normal(0, 7, (*pixels.shape[:2], 1)).astype(np.int16)
    image = Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8))
    if kind != "jpg":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    out = io.BytesIO()
    name, options = KINDS[kind]
    image.save(out, name, **options)
    return out.getvalue()


@contextmanager
def serving(name: str) -> Iterator[tuple[str, int]]:
    """A fresh server: its address, and the id of its process."""
    command = [sys.executable, "-m", "bench.pictures", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 (our own)
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}", process.pid
        finally:
            process.kill()


async def load(url: str, case: Case, data: bytes, count: int) -> tuple[float, list[float], float]:
    """Send `count` pictures from so many clients: the seconds in all, of each call, and of the longest blocked loop."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(600)) as session:
        address = f"{url}/v1/cutout?format={case.form}"
        await _post(session, address, data)
        await (await session.get(f"{url}/lag")).json()
        left = iter(range(count))
        seconds: list[float] = []

        async def client() -> None:
            seconds.extend([await _post(session, address, data) for _ in left])

        begun = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(case.clients)))
        whole = time.perf_counter() - begun
        lag = await (await session.get(f"{url}/lag")).json()
    return whole, seconds, float(lag["longest"])


async def idle(url: str, seconds: float = 1) -> float:
    """The longest that the loop was late with nothing to do: what the machine is to blame for."""
    async with aiohttp.ClientSession() as session:
        await (await session.get(f"{url}/lag")).json()
        await asyncio.sleep(seconds)
        lag = await (await session.get(f"{url}/lag")).json()
    return float(lag["longest"])


async def _post(session: aiohttp.ClientSession, address: str, data: bytes) -> float:
    begun = time.perf_counter()
    async with session.post(address, data=data) as answer:
        body = await answer.read()
        assert answer.status == 200, body  # noqa: PLR2004 (RFC 9110)
    return time.perf_counter() - begun


def peak_mib(pid: int) -> float:
    """The most resident memory that a process has had (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0


def cpu_seconds(pid: int) -> float:
    """What a process has used of all cores together (Linux): it tells more than a rate where others work too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(case: Case, data: bytes, seconds: float, figures: Figures) -> None:
    """One case once, on a fresh server, for about so many seconds."""
    with serving(case.server) as (url, pid):
        once = asyncio.run(load(url, case, data, 1))[0]
        figures.idle.append(asyncio.run(idle(url)))
        guess = seconds / once * (1 if case.server == ONE_BY_ONE else min(case.clients, 3))
        count = max(case.clients, round(guess))
        used = cpu_seconds(pid)
        whole, calls, blocked = asyncio.run(load(url, case, data, count))
        figures.cpu.append((cpu_seconds(pid) - used) / (count + 1))
        figures.rates.append(count / whole)
        figures.seconds += calls
        figures.blocked.append(blocked)
        figures.peak_mib = max(figures.peak_mib, peak_mib(pid))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=6, help="of each cell in each round, or one picture a client")
    parser.add_argument("--megapixels", type=int, nargs="+", default=[1, 12], choices=SIDES)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--inputs", nargs="+", default=["jpg"], choices=KINDS)
    parser.add_argument("--forms", nargs="+", default=["png", "webp", "zip"])
    options = parser.parse_args()
    sys.stdout.write(
        "| MP | of | clients | server | as | pictures/s | x one-by-one png | p50 ms | p99 ms | peak MiB "
        "| most blocked ms (idle) | cpu ms |\n"
    )
    sys.stdout.write(f"{'|---' * 12}|\n")
    for megapixels in options.megapixels:
        for kind in options.inputs:
            data = picture(megapixels, kind)
            for clients in options.clients:
                usual = [Case(server, megapixels, kind, "png", clients) for server in (ONE_BY_ONE, ONE_IMAGE)]
                ours = [Case(OURS, megapixels, kind, form, clients) for form in options.forms]
                _rows([*usual, *ours], data, options.rounds, options.seconds)


def _rows(cases: list[Case], data: bytes, rounds: int, seconds: float) -> None:
    table = {case: Figures() for case in cases}
    for _ in range(rounds):
        for case, figures in table.items():
            measure(case, data, seconds, figures)
    slow = table[cases[0]].rate
    for case, figures in table.items():
        calls = sorted(figures.seconds)
        p50, p99 = (calls[min(len(calls) - 1, int(len(calls) * share))] * 1000 for share in (0.5, 0.99))
        cells = [
            *(case.megapixels, case.kind, case.clients, case.server, case.form),
            *(f"{figures.rate:.2f}", f"{figures.rate / slow:.1f}"),
            *(
                f"{p50:.0f}",
                f"{p99:.0f}",
                f"{figures.peak_mib:.0f}",
                f"{max(figures.blocked):.0f} ({max(figures.idle):.0f})",
            ),
            f"{statistics.median(figures.cpu) * 1000:.0f}",
        ]
        sys.stdout.write(f"| {' | '.join(map(str, cells))} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
