"""Webhooks: account holders name their own servers, which are told what becomes of their credit."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network
from typing import Annotated

from aiohttp import web
from pydantic import Field, PlainValidator

from nijika.module import Plugin, Route
from nijika.plugins.webhooks import forms, history, page, thresholds
from nijika.plugins.webhooks.page import lowest_price
from nijika.state import COURIER, POOL, ROUTES, VAULT
from nijika.webhooks import backlog
from nijika.webhooks.address import Addresses, IPNetwork
from nijika.webhooks.courier import Courier
from nijika.webhooks.sender import Sender
from nijika.webhooks.signature import Seal
from nijika.webhooks.watch import Watch


def _network(value: object) -> IPNetwork:
    try:
        return ip_network(value if isinstance(value, str) else "")
    except ValueError as error:
        raise ValueError(f'a network is written such as "10.0.0.0/8" or "fd00::/8": {error}') from None


class Webhooks(Plugin):
    """`/dashboard/webhooks`, and what is sent: signed by the Standard Webhooks rules, again until it arrives."""

    allow: tuple[Annotated[IPNetwork, PlainValidator(_network)], ...] = ()
    """Networks (CIDR) of your own that webhooks may lead to as well, also by plain http; all others must be public."""
    timeout_seconds: Annotated[float, Field(ge=1, le=60)] = 15
    """How long a receiver may take to answer."""
    keep_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """For how many days the dashboard shows what was sent."""

    def prerequisites(self) -> tuple[str, ...]:
        """Whoever names a server is signed in."""
        return ("session",)

    def routes(self) -> Iterable[Route]:
        """The page, and its forms."""
        for room in (page, forms, thresholds, history):
            yield from room.routes()

    @asynccontextmanager
    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        """Send, and watch the credit, while the gateway runs."""
        async with AsyncExitStack() as stack:
            addresses = Addresses(self.allow)
            sender = await stack.enter_async_context(Sender(addresses, timeout_seconds=self.timeout_seconds))
            courier = app[COURIER] = Courier(app[POOL], sender, Seal(app[VAULT]))
            stack.push_async_callback(courier.close)
            watch = Watch(app[POOL], lowest=lowest_price(app[ROUTES]), keep_days=self.keep_days)
            tasks = [
                asyncio.create_task(work) for work in (courier.run(), watch.run(), backlog.count_for_ever(app[POOL]))
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
