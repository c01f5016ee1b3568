"""`nijika serve` with real processes: one scrape, whoever answers it, has the numbers of all, the dead included."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.local.served import PATH, Gateway, call, customer, served, until
from tests.peers import answers
from tests.peers.upstream import Upstream
from tests.scrape import Scrape, scrape


async def now(gateway: Gateway) -> Scrape:
    """What whichever process says that the kernel chooses."""
    async with aiohttp.ClientSession(gateway.url) as session:
        return await scrape(session)


async def once(gateway: Gateway, holds: Callable[[Scrape], bool]) -> Scrape:
    async with asyncio.timeout(30):
        while not holds(found := await now(gateway)):
            await asyncio.sleep(0.02)
    return found


def paid(scrape: Scrape) -> tuple[float, float, float]:
    """Requests, holds and captures."""
    requests = scrape.value("nijika_requests_total", route=PATH, status="200")
    return requests, scrape.value("nijika_holds_total"), scrape.value("nijika_captures_total")


def folder_of(pid: int) -> Path:
    for line in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
        name, _, value = line.decode().partition("=")
        if name == "NIJIKA_METRICS":
            return Path(value)
    raise AssertionError("it counts for itself")


async def test_calls_are_counted_exactly_whichever_process_is_asked_and_also_when_one_is_killed(
    tmp_path: Path, database: str, upstream: Upstream
) -> None:
    upstream.plan("*", answers.answer(200, b"cut out"))
    fields = await customer(database)
    async with served(tmp_path, database, upstream.url) as gateway:
        folder = folder_of(min(gateway.children()))
        for _ in range(30):
            assert await call(gateway.url, fields) == 200
        await once(gateway, lambda found: paid(found) == (30, 30, 30))
        told = {paid(await now(gateway)) for _ in range(12)}
        alive = (await now(gateway)).value("nijika_processes")

        before = gateway.children()
        os.kill(min(before), signal.SIGKILL)
        await until(lambda: len(gateway.children() - before) == 1)
        after = await now(gateway)
        await once(gateway, lambda found: found.value("nijika_processes") == 2)
        for _ in range(10):
            assert await call(gateway.url, fields) == 200
        last = await once(gateway, lambda found: paid(found) == (40, 40, 40))

        mode = folder.stat().st_mode

    assert (told, alive) == ({(30, 30, 30)}, 2)
    assert paid(after) == (30, 30, 30)
    assert after.value("nijika_processes") in {1, 2}
    assert last.value("nijika_process_crashes_total") == 1
    assert last.value("nijika_charges_open") == 0
    assert mode & 0o077 == 0
    assert not folder.exists()


async def test_over_a_reload_counters_never_go_back_and_what_the_old_processes_were_doing_is_gone(
    tmp_path: Path, database: str, upstream: Upstream
) -> None:
    upstream.plan("*", answers.answer(200, b"cut out"))
    fields = await customer(database)
    async with served(tmp_path, database, upstream.url) as gateway:
        for _ in range(10):
            assert await call(gateway.url, fields) == 200
        await once(gateway, lambda found: paid(found) == (10, 10, 10))

        async with watched(gateway) as counts:
            for _ in range(2):
                before = gateway.children()
                gateway.file.write_text(gateway.file.read_text() + "\n")
                assert (await gateway.reload())[0] == 0
                await until(lambda before=before: not before & gateway.children())  # type: ignore[misc]
        last = await now(gateway)

    assert counts == sorted(counts)
    assert counts[-1] == 10
    assert paid(last) == (10, 10, 10)
    assert last.value("nijika_processes") == 2
    assert last.value("nijika_config_reloads_total", outcome="accepted") == 2
    assert last.value("nijika_process_crashes_total") == 0


@asynccontextmanager
async def watched(gateway: Gateway) -> AsyncIterator[list[float]]:
    """The number of calls, as it is told all the time while the block runs."""
    counts: list[float] = []
    over = asyncio.Event()

    async def watch() -> None:
        while not over.is_set():
            counts.append(paid(await now(gateway))[0])

    watching = asyncio.create_task(watch())
    yield counts
    over.set()
    await watching


async def test_a_refused_configuration_is_seen_until_there_is_a_good_one(
    tmp_path: Path, database: str, upstream: Upstream
) -> None:
    def told(found: Scrape) -> tuple[float, ...]:
        outcomes = (found.value("nijika_config_reloads_total", outcome=outcome) for outcome in ("accepted", "refused"))
        return found.value("nijika_config_reload_success"), *outcomes

    async with served(tmp_path, database, upstream.url, processes=1) as gateway:
        begun, good = await now(gateway), gateway.file.read_text()
        gateway.file.write_text(good + "\nnonsense = 1\n")
        await gateway.reload()
        refused = await now(gateway)
        gateway.file.write_text(good.replace("drain_seconds = 30", 'drain_seconds = 30\nlog = "json"'))
        assert (await gateway.reload())[0] == 0
        mended = await now(gateway)
        await until(lambda: '"route": "/metrics"' in gateway.log())
        lines = gateway.log().splitlines()

    assert [told(found) for found in (begun, refused, mended)] == [(1, 0, 0), (0, 0, 1), (1, 1, 1)]
    times = [found.value("nijika_config_reload_timestamp_seconds") for found in (begun, refused, mended)]
    assert 0 < times[0] < times[1] < times[2]
    json.loads(next(line for line in lines if '"route": "/metrics"' in line))
