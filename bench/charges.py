"""One run: so many callers who hold and settle for so long, on one of the ledgers."""

import asyncio
import multiprocessing
import time
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

import asyncpg

from bench.one_by_one import Statements, Transactions
from nijika import request_id
from nijika.credits import MICRO
from nijika.database import open_pool
from nijika.ledger import Hold, Ledger, Settlement
from nijika.ledger.lease import Lease
from nijika.ledger.verify import verify
from nijika.store.migrate import migrate


class Contender(Protocol):
    """What all of them can do."""

    async def hold(self, hold: Hold) -> object:
        """Set an amount aside."""

    async def settle(self, order: Settlement) -> object:
        """Capture it."""


PRICE = MICRO // 100
CONNECTIONS_MAX = 10  # what [database] connections_max is by default


@dataclass(frozen=True)
class Load:
    """`in_flight` calls at once, in all, on `accounts`, from `processes`."""

    accounts: int
    processes: int
    in_flight: int


@dataclass
class Run:
    """One contender at one load: charges a second, and the milliseconds that each hold and each settlement took."""

    charges: int = 0
    seconds: float = 0
    holds: list[float] = field(default_factory=list)
    settlements: list[float] = field(default_factory=list)


def measure(url: str, name: str, load: Load, seconds: float) -> Run:
    """A run of the contender `name` under a load, for so many seconds."""
    if load.processes == 1:
        return asyncio.run(run_one(url, name, load.accounts, load.in_flight, seconds))
    with multiprocessing.get_context("spawn").Pool(load.processes) as pool:
        share = load.in_flight // load.processes
        parts = pool.starmap(_run_here, [(url, name, load.accounts, share, seconds)] * load.processes)
    whole = Run(seconds=max(part.seconds for part in parts))
    for part in parts:
        whole.charges += part.charges
        whole.holds += part.holds
        whole.settlements += part.settlements
    return whole


def _run_here(url: str, name: str, accounts: int, in_flight: int, seconds: float) -> Run:
    return asyncio.run(run_one(url, name, accounts, in_flight, seconds))


async def run_one(url: str, name: str, accounts: int, in_flight: int, seconds: float) -> Run:
    """A run in this process."""
    async with await open_pool(url, connections_max=CONNECTIONS_MAX) as pool, Lease(pool, 3600) as lease:
        batches = Ledger(pool, lease.id)
        kinds: dict[str, Contender] = {
            "batches": batches,
            "statements": Statements(pool, lease.id),
            "transactions": Transactions(pool, lease.id),
        }
        run = Run()
        numbers = count()
        began = time.perf_counter()
        await asyncio.gather(*(_call(kinds[name], run, numbers, accounts, began + seconds) for _ in range(in_flight)))
        run.seconds = time.perf_counter() - began
        await batches.close()
    return run


async def _call(ledger: Contender, run: Run, numbers: "count[int]", accounts: int, until: float) -> None:
    """One caller: hold, settle, again."""
    while (began := time.perf_counter()) < until:
        hold = Hold(request_id.make(), next(numbers) % accounts + 1, 1, "/api/removebg", PRICE, 60)
        await ledger.hold(hold)
        held = time.perf_counter()
        await ledger.settle(Settlement(hold.id, hold.account, PRICE, 200))
        run.holds.append((held - began) * 1000)
        run.settlements.append((time.perf_counter() - held) * 1000)
        run.charges += 1


async def prepare(url: str, accounts: int) -> None:
    """Empty tables with so many rich accounts."""
    connection = await asyncpg.connect(url)
    await connection.execute("DROP SCHEMA IF EXISTS archive CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await migrate(connection)
    await connection.execute(
        """WITH rich AS (
               INSERT INTO accounts (available, granted) SELECT 1e15, 1e15 FROM generate_series(1, $1) RETURNING id)
           INSERT INTO journal (id, step, kind, account, available, held, granted, spent)
           SELECT gen_random_uuid(), 0, 'grant', id, 1e15, 0, 1e15, 0 FROM rich""",
        accounts,
    )
    await connection.execute("CHECKPOINT")
    await connection.close()


async def check(url: str) -> None:
    """Figures of a ledger that does not add up are worth nothing."""
    connection = await asyncpg.connect(url)
    violations = {name: found for name, found in (await verify(connection)).items() if found}
    await connection.close()
    assert not violations, violations
