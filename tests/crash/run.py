"""One run from its beginning to its verdict."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.crash import database, ports, process, upstream
from tests.crash.callers import Callers
from tests.crash.chaos import rage
from tests.crash.checker import Evidence, violations
from tests.crash.configuration import configuration
from tests.crash.customers import enrol
from tests.crash.database import Database
from tests.crash.gateway import Gateway
from tests.crash.plan import PRICES, Plan
from tests.crash.report import Report

_LONGEST_SECONDS = 60  # beyond the plan's own, for a machine on which the answers come slowly


def run(plan: Plan, directory: Path) -> Report:
    """Do as planned, with everything that the processes write in `directory`."""
    return asyncio.run(_run(plan, directory))


async def _run(plan: Plan, directory: Path) -> Report:
    worker_port, log = ports.free(), directory / "worker.jsonl"
    worker = ("tests.crash.upstream", str(worker_port), str(log), str(plan.seed))
    with (
        database.running(directory / "database", durable=plan.durable) as store,
        process.running(directory / "worker.log", *worker),
    ):
        await store.ready()
        gateways = [_gateway(plan, directory, number, store, worker_port) for number in range(plan.gateways)]
        async with store.connected() as connection:
            customers = await enrol(connection)
        async with _living(gateways):
            callers = Callers(plan, customers, [gateway.port for gateway in gateways])
            await _load(plan, callers, gateways, store)
            await _wait_for_sweep(plan, gateways, store)
        charges, invariants = await store.charges(), await store.invariants()
        crashes = store.crashes
    evidence = Evidence(callers.attempts, list(upstream.read(log)), charges, PRICES)
    events = sum((gateway.events for gateway in gateways), Counter[str]())
    events |= Counter({"PostgreSQL crashes": crashes, "tries that met no gateway": callers.unreached})
    failures = [failure for gateway in gateways for failure in gateway.failures]
    return Report(plan, callers.attempts, charges, events, violations(evidence), invariants, failures)


def _gateway(plan: Plan, directory: Path, number: int, store: Database, worker_port: int) -> Gateway:
    port, file = ports.free(), directory / f"gateway-{number}.toml"
    file.write_text(configuration(port=port, database_url=store.url, worker_port=worker_port))
    words = ("tests.crash.alone",) if plan.broken is None else ("tests.crash.broken", plan.broken)
    return Gateway(file, port, words, store)


@asynccontextmanager
async def _living(gateways: Sequence[Gateway]) -> AsyncIterator[None]:
    """All gateways serve during the block, as far as they are let, and are stopped in good order at its end."""
    lives = [asyncio.create_task(gateway.live()) for gateway in gateways]
    try:
        for gateway in gateways:
            await gateway.ready()
        yield
        await asyncio.gather(*(gateway.stop() for gateway in gateways))
    finally:
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)


async def _load(plan: Plan, callers: Callers, gateways: Sequence[Gateway], store: Database) -> None:
    began = time.monotonic()

    def is_enough() -> bool:
        passed = time.monotonic() - began
        enough = callers.successes >= plan.answers_min
        return passed > plan.seconds and (enough or passed > plan.seconds + _LONGEST_SECONDS)

    chaos = asyncio.create_task(rage(plan, gateways, store))
    calls = asyncio.create_task(callers.call(is_enough))
    await asyncio.wait([chaos, calls], return_when=asyncio.FIRST_COMPLETED)
    # Only the callers come to an end by themselves; what else ends is a mistake, raised here.
    chaos.cancel()
    with suppress(asyncio.CancelledError):
        await chaos
    await calls


async def _wait_for_sweep(plan: Plan, gateways: Sequence[Gateway], store: Database) -> None:
    """Give what is alive the time to refund what the dead have left."""
    await store.ready()
    for gateway in gateways:
        await gateway.ready()
    await store.until_nothing_is_held(time.monotonic() + plan.sweep_seconds)
