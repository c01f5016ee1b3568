"""A receiver of webhooks on loopback: it keeps what comes, and answers as the test plans."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks.webhooks import Webhook

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Got:
    """One request, as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def verified(self, secret: str) -> Any:
        """What a customer's own program makes of it, with the library of the specification; raises if it is forged."""
        return Webhook(secret).verify(self.body, dict(self.headers))


@dataclass
class Receiver:
    """A server that was started; `answer` is what it does, `under_way` how many it is doing that for."""

    url: str = ""
    answer: Answer = field(default=lambda _: _status(204))
    got: list[Got] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0

    def answers(self, *statuses: int, **headers: str) -> None:
        """Answer with one status after the other, the last one for ever."""
        left = list(statuses)

        async def answer(_: web.Request) -> web.StreamResponse:
            return web.Response(status=left.pop(0) if len(left) > 1 else left[0], headers=headers)

        self.answer = answer

    async def count(self, number: int, *, seconds: float = 15) -> list[Got]:
        """What came, once that is so many."""
        async with asyncio.timeout(seconds):
            while len(self.got) < number:
                await asyncio.sleep(0.01)
        return self.got

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            self.got.append(Got(request.path_qs, dict(request.headers), await request.read()))
            return await self.answer(request)
        finally:
            self.under_way -= 1


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver, for as long as the block runs."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver._handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    await runner.cleanup()


async def _status(status: int) -> web.StreamResponse:
    return web.Response(status=status)
