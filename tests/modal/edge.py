"""Modal's edge, as it stands in front of a container: the key, the sleep, the cap, and the limit on one answer.

Sources: modal.com/docs/guide/webhook-timeouts (303 to a result URL after 150 s, which blocks and may be asked again),
webhook-proxy-auth (Modal-Key, Modal-Secret), modal 1.6 `App.server` (429 above max_concurrency), modal-examples
07_web/server.py (503 while nothing runs; the refused call starts a container).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from aiohttp import hdrs, web
from multidict import CIMultiDictProxy

Container = Callable[[web.Request], Awaitable[web.Response]]

CREDENTIALS = {"Modal-Key": "wk-test", "Modal-Secret": "ws-test"}
RESULT = "__modal_function_call_id"


@dataclass
class Asked:
    """A request as it reached the edge."""

    method: str
    path: str
    headers: CIMultiDictProxy[str]
    status: int = 0

    @property
    def is_authorized(self) -> bool:
        return all(self.headers.getall(name, []) == [value] for name, value in CREDENTIALS.items())


@dataclass
class Edge:
    """An endpoint whose work is done by `container`.

    It takes `boot_seconds` from the first call to the first answer other than 503, `calls_max` calls at a time, and
    `answer_seconds` until a call is answered with 303 in place of its result; `elsewhere` is where that leads to, in
    place of the result. An app that is `stopped` is 404.
    """

    container: Container
    boot_seconds: float = 0
    calls_max: int = 100
    answer_seconds: float = 150
    elsewhere: str = ""
    stopped: bool = False
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    ran: int = 0
    """How many calls the container was given."""
    _calls: dict[str, asyncio.Task[web.Response]] = field(default_factory=dict)
    _boot: asyncio.Task[None] | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, status: int, count: int = 1) -> None:
        """Waits until so many requests were answered like this."""
        async with asyncio.timeout(15):
            while sum(asked.status == status for asked in self.asked) < count:
                self._changed.clear()
                await self._changed.wait()

    async def until_running(self, count: int = 1) -> None:
        """Waits until the container was given so many calls."""
        async with asyncio.timeout(15):
            while self.ran < count:
                self._changed.clear()
                await self._changed.wait()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(request.method, request.path, request.headers)
        self.asked.append(asked)
        answer = await self._answer(request, asked)
        answer.headers["Modal-Function-Call-Id"] = "fc-01JABCDEF"
        asked.status = answer.status
        self._changed.set()
        return answer

    async def _answer(self, request: web.Request, asked: Asked) -> web.Response:
        if self.stopped:
            return web.Response(status=404, text="modal-http: app for invoked web endpoint is stopped")
        if not asked.is_authorized:
            return web.Response(status=401, text="modal-http: missing credentials for proxy authorization")
        if RESULT in request.query:
            return await self._result(request, request.query[RESULT])
        if not self._is_up():
            return web.Response(status=503, text="modal-http: no container is ready")
        if sum(not call.done() for call in self._calls.values()) >= self.calls_max:
            return web.Response(status=429, text="modal-http: too many concurrent requests")
        await request.read()
        name = f"fc-{uuid4().hex}"
        self._calls[name] = asyncio.create_task(self._run(request))
        return await self._result(request, name)

    async def _result(self, request: web.Request, call: str) -> web.Response:
        done, _ = await asyncio.wait([self._calls[call]], timeout=self.answer_seconds)
        if done:
            return self._calls[call].result()
        place = self.elsewhere or f"http://{request.host}{request.path}?{RESULT}={call}"
        return web.Response(status=303, headers={hdrs.LOCATION: place})

    async def _run(self, request: web.Request) -> web.Response:
        if request.path != "/ready":
            self.ran += 1
            self._changed.set()
        return await self.container(request)

    def _is_up(self) -> bool:
        if self._boot is None:
            self._boot = asyncio.create_task(asyncio.sleep(self.boot_seconds))
        return self._boot.done() or not self.boot_seconds

    async def close(self) -> None:
        """Forgets what still runs."""
        tasks = [*self._calls.values(), *([self._boot] if self._boot else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def edge(container: Container, **settings: float | str) -> AsyncIterator[Edge]:
    """An edge on a free loopback port."""
    edge = Edge(container, **settings)  # type: ignore[arg-type] # each setting has a type of its own
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", edge.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    edge.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield edge
    finally:
        await edge.close()
        await runner.cleanup()
