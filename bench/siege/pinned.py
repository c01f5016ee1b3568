"""Connections to one certain process of several that share a port."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp

from bench.siege.gateway import Gateway


@asynccontextmanager
async def pinned(gateway: Gateway) -> AsyncIterator[list[aiohttp.ClientSession]]:
    """A session a process, of one connection that is kept alive; the gateway has the plugin of bench.siege.tasks."""
    sessions: dict[int, aiohttp.ClientSession] = {}
    missing = set(gateway.pids())
    async with AsyncExitStack() as stack:
        while missing:  # the kernel chooses who gets a connection
            session = aiohttp.ClientSession(
                gateway.url, connector=aiohttp.TCPConnector(limit=1), cookie_jar=aiohttp.DummyCookieJar()
            )
            await stack.enter_async_context(session)
            pid = await pid_of(session)
            if pid in missing:
                missing.remove(pid)
                sessions[pid] = session
        yield list(sessions.values())


async def pid_of(session: aiohttp.ClientSession) -> int:
    """The process at the other end."""
    async with session.get("/tasks") as answer:
        pid: int = (await answer.json())["pid"]
        return pid
