"""How many messages wait, told to the metrics."""

import asyncio
import logging

from nijika.database import OUTAGE, Pool
from nijika.metrics.webhooks import WAITING
from nijika.store import deliveries

LOOK_SECONDS = 10.0

log = logging.getLogger("nijika.webhooks")


async def count_for_ever(pool: Pool) -> None:
    """Look every LOOK_SECONDS until cancelled; what cannot be counted stays as it was seen last."""
    while True:
        try:
            WAITING.set(await deliveries.backlog(pool))
        except OUTAGE:  # others say so
            pass
        except Exception:
            log.exception("waiting messages could not be counted")
        await asyncio.sleep(LOOK_SECONDS)
