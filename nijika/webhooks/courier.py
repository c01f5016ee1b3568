"""Carries messages to their receivers: takes what is due, sends it, and writes down what came of it."""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress

from nijika.database import OUTAGE, Connection, Pool, connected
from nijika.errors import LedgerUnavailable
from nijika.metrics.webhooks import ATTEMPTS, STOPPED
from nijika.store import attempts, webhooks
from nijika.store.attempts import Answer, Attempt, State
from nijika.store.webhooks import StoppedBy
from nijika.webhooks import message, schedule
from nijika.webhooks.sender import GONE, Sender
from nijika.webhooks.signature import Seal

SENDING_MAX = 32
"""Messages under way in one process; of each webhook one, over all processes."""

POLL_SECONDS = 1.0
OUTAGE_SECONDS = 5.0
GRACE_SECONDS = 2.0
LEASE_SECONDS = 30.0
"""How much longer than an attempt a process may be silent before others send its messages."""

_OUTCOMES: dict[State, str] = {"delivered": "delivered", "waiting": "retried", "failed": "given-up"}

log = logging.getLogger("nijika.webhooks")


class Courier:
    """Sends for as long as it runs; any number of processes share the work.

    A message arrives at least once: who dies between the receiver's answer and the note of it leaves it to others.
    `chance` (from 0 to 1) spreads what is sent again.
    """

    def __init__(
        self,
        pool: Pool,
        sender: Sender,
        seal: Seal,
        *,
        lease_seconds: float = LEASE_SECONDS,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.addresses = sender.addresses
        self._pool = pool
        self._sender = sender
        self._seal = seal
        self._lease_seconds = sender.timeout_seconds + lease_seconds
        self._chance = chance
        self._woken = asyncio.Event()
        self._under_way: dict[asyncio.Task[None], Attempt] = {}

    def wake(self) -> None:
        """Something may be due: look now."""
        self._woken.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            self._woken.clear()
            if not await self._begin():
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._woken.wait()

    async def close(self) -> None:
        """Let what is under way end within a moment; others may send the rest at once."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=GRACE_SECONDS)
        left = dict(self._under_way)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
            with suppress(*OUTAGE):
                await attempts.give_back(self._pool, [attempt.claim for attempt in left.values()])

    async def _begin(self) -> bool:
        """Whether there was something due, and room for it."""
        free = SENDING_MAX - len(self._under_way)
        if free == 0:
            return False
        try:
            begun = await attempts.begin(self._pool, free, lease_seconds=self._lease_seconds)
        except OUTAGE as error:
            log.warning("no webhooks are sent: %s", error or type(error).__name__)
            await asyncio.sleep(OUTAGE_SECONDS)
            return False
        except Exception:
            log.exception("no webhooks are sent")
            await asyncio.sleep(OUTAGE_SECONDS)
            return False
        for attempt in begun:
            task = asyncio.create_task(self._deliver(attempt))
            self._under_way[task] = attempt
            task.add_done_callback(self._ended)
        return bool(begun)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self.wake()  # there is room, and the same webhook may have more

    async def _deliver(self, attempt: Attempt) -> None:
        try:
            await self._settle(attempt, await self._answer(attempt))
        except LedgerUnavailable:
            log.warning("what came of message %s could not be written down", message.name(attempt.message))
        except Exception:
            log.exception("message %s", message.name(attempt.message))

    async def _answer(self, attempt: Attempt) -> Answer:
        own, *former = [self._seal.open(sealed) for sealed in attempt.sealed]
        if own is None:
            return Answer(0, error="The secret cannot be read any more. Rotate it.")
        try:
            return await self._sender.send(attempt, [own, *filter(None, former)])
        except Exception:  # a mistake of ours: it counts as an attempt, or this message would be tried without end
            log.exception("message %s", message.name(attempt.message))
            return Answer(0, error="It could not be sent, for a reason of our own.")

    async def _settle(self, attempt: Attempt, answer: Answer) -> None:
        state, seconds = self._verdict(attempt, answer)
        async with connected(self._pool) as connection, connection.transaction():
            await webhooks.lock(connection, attempt.webhook)
            if not await attempts.end(connection, attempt, answer, state, seconds):
                return
            ATTEMPTS.labels(_OUTCOMES[state]).inc()
            if state == "delivered":
                await webhooks.succeeded(connection, attempt.webhook)
                return
            await webhooks.fails(connection, attempt.webhook)
            if answer.status == GONE:
                await self._stop(connection, attempt, "gone")
            elif state == "failed" and not await webhooks.has_succeeded(
                connection, attempt.webhook, attempt.happened_at
            ):
                await self._stop(connection, attempt, "failing")

    def _verdict(self, attempt: Attempt, answer: Answer) -> tuple[State, float | None]:
        """What the delivery is now, and in how many seconds it is tried again."""
        if answer.error is None:
            return "delivered", None
        seconds = schedule.delay(attempt.attempts, self._chance(), answer.retry_after)
        if seconds is None or answer.status == GONE:
            return "failed", None
        return "waiting", seconds

    async def _stop(self, connection: Connection, attempt: Attempt, by: StoppedBy) -> None:
        log.warning("webhook %d is stopped: %s", attempt.webhook, by)
        STOPPED.labels(by).inc()
        await webhooks.stop(connection, attempt.webhook, by=by)
