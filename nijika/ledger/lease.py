"""This process's right to keep charges open: a heartbeat in PostgreSQL, by PostgreSQL's clock."""

import asyncio
import logging
import os
import socket
from contextlib import suppress
from typing import Self

from nijika import request_id
from nijika.database import OUTAGE, Pool, fetchval

BEATS = 6
"""Heartbeats within one lease."""

log = logging.getLogger("nijika.ledger")


class Lease:
    """A row in `instances` under `id`, alive while its last beat is at most `seconds` old. An async context manager.

    `lost` is set once another process has declared this one dead: its charges are being given back, and it must end.
    """

    def __init__(self, pool: Pool, seconds: float) -> None:
        self.id = request_id.make()
        self.seconds = seconds
        self.lost = asyncio.Event()
        self._pool = pool
        self._awake_since = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._pool.execute(
            "INSERT INTO instances (id, host, pid, lease_seconds) VALUES ($1, $2, $3, $4)",
            self.id,
            socket.gethostname(),
            os.getpid(),
            self.seconds,
        )
        self._awake_since = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._beat_for_ever(), name="lease")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        with suppress(*OUTAGE):
            # What is open all the same need not wait until the lease has run out.
            await fetchval(self._pool, "UPDATE instances SET dead_at = clock_timestamp() WHERE id = $1", self.id)

    def lose(self) -> None:
        """Somebody declared this process dead."""
        if not self.lost.is_set():
            log.error("this process was silent for more than %g s and was declared dead; it ends", self.seconds)
            self.lost.set()

    async def beat(self) -> bool:
        """Give a sign of life; returns whether this process may judge others: it was awake for a whole lease.

        One that slept itself, or lost sight of the database as all others may have, waits until they could beat.
        """
        now = asyncio.get_running_loop().time()
        silent = await fetchval(
            self._pool,
            """WITH former AS (SELECT beat_at FROM instances WHERE id = $1)
               UPDATE instances i SET beat_at = clock_timestamp() FROM former
                WHERE i.id = $1 AND i.dead_at IS NULL
               RETURNING extract(epoch FROM clock_timestamp() - former.beat_at)::float8""",
            self.id,
        )
        if silent is None:
            self.lose()
            return False
        if silent > self.seconds / 2:
            self._awake_since = now
        return now - self._awake_since >= self.seconds

    async def _beat_for_ever(self) -> None:
        while not self.lost.is_set():
            await asyncio.sleep(self.seconds / BEATS)
            try:
                await self.beat()
            except OUTAGE as error:
                log.warning("no heartbeat: %s", error or type(error).__name__)
            except Exception:
                log.exception("no heartbeat")
