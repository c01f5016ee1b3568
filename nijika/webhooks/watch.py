"""Notices what accounts' credit fell below, beside the calls that spend it, and makes none of them slower."""

import asyncio
import logging

from nijika.database import OUTAGE, Pool, connected
from nijika.errors import LedgerUnavailable
from nijika.store import deliveries, thresholds
from nijika.webhooks import news

WATCH_SECONDS = 2.0
ACCOUNTS_MAX = 100
HOUSEKEEPING_SECONDS = 3600.0

log = logging.getLogger("nijika.webhooks")


class Watch:
    """Looks every WATCH_SECONDS, over all processes, at the accounts that have a threshold.

    `lowest` is the price of the cheapest call in micro-credits, None if all are free; deliveries are forgotten
    `keep_days` after what they tell of.
    """

    def __init__(self, pool: Pool, *, lowest: int | None, keep_days: int) -> None:
        self._pool = pool
        self._lowest = lowest
        self._keep_days = keep_days
        self._kept_house = -HOUSEKEEPING_SECONDS

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self._price()
                if await thresholds.has_turn(self._pool, WATCH_SECONDS / 2):
                    await self.look()
                    await self._keep_house()
            except (*OUTAGE, LedgerUnavailable) as error:
                log.warning("credit was not compared with thresholds: %s", error.__cause__ or error)
            except Exception:
                log.exception("credit was not compared with thresholds")
            await asyncio.sleep(WATCH_SECONDS)

    async def look(self) -> None:
        """Tell each account what its credit fell below. A fall is told once, however many look at the same time."""
        for account in await thresholds.moved(self._pool, ACCOUNTS_MAX):
            try:
                async with connected(self._pool) as connection, connection.transaction():
                    await news.compare(connection, account)
            except LedgerUnavailable as error:
                # One account whose row somebody keeps locked must not silence all others.
                log.warning("account %d was not compared with its thresholds: %s", account, error.__cause__ or error)

    async def _price(self) -> None:
        """Prices are those of this process's config.toml, which stays as it is; who started last has the newest one.

        Not when it has the turn: after a reload an old process might have its first one, and bring an old price back.
        """
        if self._lowest is not None:
            await thresholds.reprice(self._pool, self._lowest)
            self._lowest = None

    async def _keep_house(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._kept_house + HOUSEKEEPING_SECONDS:
            self._kept_house = now
            await deliveries.forget_old(self._pool, self._keep_days)
