"""Gives back what dead processes left open, and what stayed open past its deadline; keeps the tables in order."""

import asyncio
import logging
from uuid import UUID

import asyncpg

from nijika.database import OUTAGE, Pool, fetchval
from nijika.errors import LedgerUnavailable
from nijika.ledger.lease import Lease
from nijika.ledger.ledger import Ledger
from nijika.ledger.orders import Settlement

SWEEPS = 3
"""Passes within one lease, over all processes."""

SCAN_SECONDS = 600.0
HOUSEKEEPING_SECONDS = 3600.0
FORGET_MAX = 500

_EVERYTHING = UUID(int=0)

log = logging.getLogger("nijika.ledger")


class Sweeper:
    """Sweeps for as long as it runs; one process has the turn at a time."""

    def __init__(self, pool: Pool, lease: Lease, ledger: Ledger) -> None:
        self._pool = pool
        self._lease = lease
        self._ledger = ledger
        self._kept_house = -HOUSEKEEPING_SECONDS

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(self._lease.seconds / SWEEPS)
            try:
                if await self._lease.beat():
                    await self.sweep()
                    await self._keep_house()
            except (*OUTAGE, LedgerUnavailable) as error:
                log.warning("no sweep: %s", error or type(error).__name__)
            except Exception:
                log.exception("no sweep")

    async def sweep(self) -> int:
        """One pass; returns how many charges it gave back.

        There is none if another process has just made one, nor within one lease after the database has started.
        """
        floor = await fetchval(
            self._pool,
            """UPDATE sweeps SET swept_at = clock_timestamp()
                WHERE swept_at < clock_timestamp() - $1 * interval '1 second'
                  AND pg_postmaster_start_time() < clock_timestamp() - $2 * interval '1 second'
               RETURNING floor""",
            self._lease.seconds / SWEEPS / 2,
            self._lease.seconds,
        )
        if floor is None:
            return 0
        await self._declare_dead()
        lost, open_since = await self._open(floor)
        refunds = [
            Settlement(
                charge["id"],
                charge["account"],
                None,
                reason=charge["reason"],
                route=charge["route"],
                held=charge["held"],
            )
            for charge in lost
        ]
        await asyncio.gather(*(self._ledger.settle(refund) for refund in refunds))
        for refund in refunds:
            log.warning("charge %s was given back: %s", refund.id, refund.reason)
        await fetchval(
            self._pool,
            # A charge gets its id when its request comes, and is held some time after that.
            "UPDATE sweeps SET floor = least($1, uuid_floor(clock_timestamp() - interval '10 minutes'))",
            open_since,
        )
        return len(lost)

    async def _declare_dead(self) -> None:
        """Who was silent for a whole lease while the database could hear it; never ourselves, who just beat."""
        dead = await fetchval(
            self._pool,
            """WITH dead AS (
                   UPDATE instances SET dead_at = clock_timestamp()
                    WHERE dead_at IS NULL AND id <> $1
                      AND beat_at < clock_timestamp() - lease_seconds * interval '1 second'
                      AND pg_postmaster_start_time() < clock_timestamp() - lease_seconds * interval '1 second'
                   RETURNING host || ' ' || pid AS place)
               SELECT string_agg(place, ', ') FROM dead""",
            self._lease.id,
        )
        if dead is not None:
            log.warning("declared dead after a lease without heartbeat: %s", dead)

    async def _open(self, floor: UUID) -> tuple[list[asyncpg.Record], UUID | None]:
        """The open charges that nobody will settle, and the lowest id of all others that are open."""
        async with (
            self._pool.acquire(timeout=SCAN_SECONDS) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            charges = await connection.fetch(_OPEN, floor, timeout=SCAN_SECONDS)
            held = await connection.fetchval("SELECT coalesce(sum(held), 0) FROM accounts", timeout=SCAN_SECONDS)
            if held != sum(charge["held"] for charge in charges):
                # One was held under an id from long ago, by a clock that is wrong.
                charges = await connection.fetch(_OPEN, _EVERYTHING, timeout=SCAN_SECONDS)
        lost = [charge for charge in charges if charge["reason"] is not None]
        return lost, min((charge["id"] for charge in charges if charge["reason"] is None), default=None)

    async def _keep_house(self) -> None:
        """Partitions for the months to come; what is not needed any more goes."""
        now = asyncio.get_running_loop().time()
        if now < self._kept_house + HOUSEKEEPING_SECONDS:
            return
        self._kept_house = now
        await self._pool.execute("SELECT make_partitions(now(), 3)", timeout=SCAN_SECONDS)
        await self._pool.execute("DELETE FROM instances WHERE dead_at < now() - interval '1 day'")
        # In small pieces, and around what a batch works on: nothing may wait for this.
        while await fetchval(self._pool, _FORGET, FORGET_MAX) == FORGET_MAX:
            pass


_OPEN = """
    SELECT c.id, c.account, c.held, c.route,
           CASE WHEN i.id IS NULL OR i.dead_at IS NOT NULL THEN 'owner-lost'
                WHEN c.deadline < clock_timestamp() THEN 'deadline-passed' END AS reason
      FROM charges c LEFT JOIN instances i ON i.id = c.owner
     WHERE c.id >= $1 AND c.settled_at IS NULL
     ORDER BY c.id"""

_FORGET = """
    WITH old AS (
        SELECT i.account, i.name FROM idempotency_keys i
         WHERE i.created_at < now() - interval '24 hours'
           AND NOT EXISTS (SELECT 1 FROM charges c WHERE c.id = i.charge AND c.settled_at IS NULL)
         LIMIT $1 FOR UPDATE OF i SKIP LOCKED),
    gone AS (
        DELETE FROM idempotency_keys i USING old WHERE i.account = old.account AND i.name = old.name RETURNING 1)
    SELECT count(*) FROM gone"""
