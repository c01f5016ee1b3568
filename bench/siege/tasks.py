"""A plugin for sieges: `GET /tasks` tells the process that answers, and how many tasks it has."""

import asyncio
import os
from collections.abc import Iterable

from aiohttp import web

from nijika.module import FREE, Plugin, Route

TABLE = '\n[[routes]]\nuse = "bench.siege.tasks:Tasks"\n'
"""The part of a config.toml that loads it."""


class Tasks(Plugin):
    """What a process has under way."""

    def routes(self) -> Iterable[Route]:
        """`/tasks`."""
        yield Route(("GET",), "/tasks", _tell, FREE, about=None)


async def _tell(_: web.Request) -> web.Response:
    return web.json_response({"pid": os.getpid(), "tasks": len(asyncio.all_tasks())})
