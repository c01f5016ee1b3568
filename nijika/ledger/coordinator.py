"""One task a process that sends orders in batches: whatever arrives while one is under way forms the next."""

import asyncio
import logging
import random
from collections.abc import Callable
from contextvars import Context
from typing import Final
from uuid import UUID

import asyncpg

from nijika.database import ACQUIRE_SECONDS, OUTAGE, RETRY_SECONDS, Connection, Pool
from nijika.errors import LedgerBusy, LedgerUnavailable
from nijika.ledger.batch import apply
from nijika.ledger.orders import Hold, Order, Outcome, Settlement
from nijika.ledger.queue import Entry
from nijika.ledger.tally import Tally
from nijika.ledger.waiting import Waiting
from nijika.metrics import money

BATCH_MAX = 192
WARY_SECONDS, WARY_SECONDS_MAX = 1.0, 16.0
BUSY_SECONDS = 0.01
LOG_SECONDS = 5.0

_FENCED: Final = "NJ001"

log = logging.getLogger("nijika.ledger")


class Coordinator:
    """Every order gets an outcome, or LedgerUnavailable once its time is over or the process stops.

    One whose outcome is unknown is sent again until then.

    `abandoned` is called with each hold that may have been made, and each settlement that may not have been made,
    although nobody waits for it any more; `fenced` once, when the database says that `owner` has lost its lease, and
    nothing is sent from then on.
    """

    def __init__(
        self, pool: Pool, owner: UUID, *, abandoned: Callable[[Hold | Settlement], None], fenced: Callable[[], None]
    ) -> None:
        self._pool = pool
        self._owner = owner
        self._abandoned = abandoned
        self._fenced = fenced
        self._waiting = Waiting()
        self._tally = Tally()
        self._aside = 0
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_over = False
        self._alone: list[Entry] = []
        self._wary_seconds = WARY_SECONDS
        self._wary_until = float("-inf")
        self._quiet_until = 0.0

    @property
    def waiting(self) -> int:
        """How many orders wait for a batch."""
        return len(self._waiting) + len(self._alone) + self._aside

    @property
    def open(self) -> int:
        """How many charges of this process are held and not settled."""
        return len(self._tally.open)

    def put(self, order: Order, seconds: float = RETRY_SECONDS) -> asyncio.Future[Outcome]:
        """Let an order join the next batch. LedgerBusy if too many holds wait already.

        To cancel the future of a hold withdraws it, or gives it back; that of anything else is done all the same.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting.has_room(order):
            raise LedgerBusy
        entry = Entry(order, loop.time() + seconds)
        if self._is_over:
            self._fail(entry, LedgerUnavailable())
            return entry.outcome
        self._waiting.put(entry)
        self._arrived.set()
        self._idle.clear()
        if self._task is None:
            # It works for all requests, and not for the one that happens to be the first.
            self._task = loop.create_task(self._run(), name="ledger", context=Context())
        return entry.outcome

    async def close(self) -> None:
        """Send what waits, for RETRY_SECONDS at most, then fail what is left."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(RETRY_SECONDS):
                await self._idle.wait()
        except TimeoutError:
            log.error("the database does not answer; %d orders are given up", len(self._waiting))
        self._task.cancel()
        await asyncio.wait([self._task])
        self._end()

    async def _run(self) -> None:
        pause = 0.05
        while True:
            await self._arrived.wait()
            try:
                # Kept from then on: callers who look for their keys must not stand between a charge and its commit.
                async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                    while not connection.is_closed():
                        if batch := self._take():
                            await self._send(connection, batch)
                            pause = 0.05
                        else:
                            await self._arrived.wait()
            except OUTAGE as error:
                self._complain(error)
            except Exception:
                log.exception("a batch failed; its orders are sent again")
            else:
                continue
            self._expire()
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 (spreads retries; no secret)
            pause = min(pause * 2, 1.0)

    def _take(self) -> list[Entry]:
        if self._alone:
            return [self._alone.pop(0)]
        batch = self._waiting.take(BATCH_MAX)
        if not batch and not self._waiting:
            self._arrived.clear()
            if not self._aside:
                self._idle.set()
        return batch

    async def _send(self, connection: Connection, batch: list[Entry]) -> None:
        """One batch; if its outcome is unknown all of it waits for the next one."""
        clock = asyncio.get_running_loop().time
        for entry in batch:
            entry.sent = True
        try:
            orders, began = [entry.order for entry in batch], clock()
            outcomes = await apply(connection, self._owner, orders, patient=began >= self._wary_until)
            money.batch(len(orders), clock() - began)
        except asyncpg.LockNotAvailableError:
            self._be_wary(clock())
            self._put_back(batch)
            self._expire()
        except (*OUTAGE, asyncio.CancelledError):
            self._put_back(batch)
            raise
        except Exception as error:
            if getattr(error, "sqlstate", "") == _FENCED:
                self._fence(batch)
            elif len(batch) == 1:
                self._fail(batch[0], error)
            else:
                # One of them cannot be stored; the others must not fail with it.
                self._alone = batch
        else:
            self._answer(batch, outcomes)

    def _be_wary(self, now: float) -> None:
        """Somebody has one of the accounts for long: go on without those that are locked, longer if it is so again."""
        is_again = now < self._wary_until + WARY_SECONDS
        self._wary_seconds = min(self._wary_seconds * 2, WARY_SECONDS_MAX) if is_again else WARY_SECONDS
        self._wary_until = now + self._wary_seconds

    def _answer(self, batch: list[Entry], outcomes: list[Outcome]) -> None:
        busy = []
        for entry, outcome in zip(batch, outcomes, strict=True):
            self._tally.note(entry.order, outcome)
            if outcome.verdict == "busy":
                busy.append(entry)
            elif not entry.outcome.done():
                entry.outcome.set_result(outcome)
            elif isinstance(entry.order, Hold) and outcome.verdict == "held":
                self._abandoned(entry.order)
        if busy:
            self._aside += len(busy)
            asyncio.get_running_loop().call_later(BUSY_SECONDS, self._come_back, busy)

    def _come_back(self, busy: list[Entry]) -> None:
        self._aside -= len(busy)
        self._put_back(busy)
        self._expire()
        if self._is_over:
            self._end()

    def _put_back(self, entries: list[Entry]) -> None:
        self._waiting.put_back(entries)
        self._arrived.set()

    def _expire(self) -> None:
        now = asyncio.get_running_loop().time()
        expired = [entry for entry in self._alone if entry.expires <= now]
        self._alone = [entry for entry in self._alone if entry.expires > now]
        for entry in [*expired, *self._waiting.take_expired(now)]:
            self._fail(entry, LedgerUnavailable())

    def _fail(self, entry: Entry, error: Exception) -> None:
        order, has_left = entry.order, entry.outcome.cancelled()
        if not entry.outcome.done():
            entry.outcome.set_exception(error)
        if self._is_over:
            return
        if (isinstance(order, Hold) and entry.sent) or (isinstance(order, Settlement) and has_left):
            self._abandoned(order)

    def _fence(self, batch: list[Entry]) -> None:
        self._put_back(batch)
        self._end()
        self._fenced()

    def _end(self) -> None:
        self._is_over = True
        for entry in [*self._alone, *self._waiting.take_all()]:
            self._fail(entry, LedgerUnavailable())

    def _complain(self, error: BaseException) -> None:
        """One line in LOG_SECONDS: an outage fails every call."""
        now = asyncio.get_running_loop().time()
        if now >= self._quiet_until:
            self._quiet_until = now + LOG_SECONDS
            log.error("the database does not answer: %s", error or type(error).__name__)
