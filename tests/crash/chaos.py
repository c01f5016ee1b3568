"""The accidents of a run, in an order that the seed decides."""

import asyncio
import random
from collections.abc import Sequence

from tests.crash.database import Database
from tests.crash.gateway import Gateway
from tests.crash.plan import LEASE_SECONDS, Event, Plan


async def rage(plan: Plan, gateways: Sequence[Gateway], database: Database) -> None:
    """Deal the plan's deck again and again, until cancelled; a gateway that stands still goes on then."""
    source = random.Random(f"{plan.seed}/chaos")
    while plan.deck:
        for event in source.sample(plan.deck, len(plan.deck)):
            await asyncio.sleep(source.uniform(*plan.gap_seconds))
            await _happen(event, source, source.choice(gateways), database)


async def _happen(event: Event, source: random.Random, gateway: Gateway, database: Database) -> None:
    match event:
        case "kill":
            gateway.kill()
        case "crash":
            await database.crash()
        case "pause":
            # Nothing else happens meanwhile: the others need peace to find out that it is silent.
            await gateway.pause(source.uniform(2.5, 3.5) * LEASE_SECONDS)
