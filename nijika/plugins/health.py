"""Whether the gateway lives, and whether it can do its work."""

import asyncio
from collections.abc import Iterable
from typing import Literal

from aiohttp import web
from pydantic import BaseModel

from nijika.database import OUTAGE
from nijika.module import FREE, About, Plugin, Route
from nijika.state import POOL, UPSTREAMS

PROBE_SECONDS = 2.0


class Health(Plugin):
    """`/health` answers while the process lives; `/ready` asks the database and tells how the upstreams were doing."""

    def routes(self) -> Iterable[Route]:
        """`/health` and `/ready`."""
        yield Route(("GET",), "/health", _health, FREE, about=_ABOUT_HEALTH)
        yield Route(("GET",), "/ready", _ready, FREE, about=_ABOUT_READY)


class Alive(BaseModel):
    """The process lives."""

    status: Literal["ok"]


class Place(BaseModel):
    """One address of an upstream; one that has failed rests for a while."""

    state: Literal["ok", "resting"]
    in_flight: int
    failure: bool


class Readiness(BaseModel):
    """Whether calls can be charged; `upstreams` tells how each was doing, but does not count."""

    status: Literal["ok", "unavailable"]
    database: Literal["ok", "read-only", "unreachable"]
    upstreams: dict[str, list[Place]]


_ABOUT_HEALTH = About("Whether the gateway lives", answer=Alive)
_ABOUT_READY = About("Whether the gateway can do its work", answer=Readiness, statuses=(200, 503))


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"}, headers={"Cache-Control": "no-store"})


async def _ready(request: web.Request) -> web.Response:
    """Upstreams are told of but not asked, and do not count: a worker may be scaled to zero on purpose."""
    database = await _database(request)
    upstreams = {name: upstream.state() for name, upstream in request.app[UPSTREAMS].items()}
    body = {"status": "ok" if database == "ok" else "unavailable", "database": database, "upstreams": upstreams}
    status = 200 if database == "ok" else 503
    headers = {"Cache-Control": "no-store"} | ({} if status == 200 else {"Retry-After": "5"})  # noqa: PLR2004
    return web.json_response(body, status=status, headers=headers)


async def _database(request: web.Request) -> str:
    """The ledger needs a database that takes writes, so one that only reads is not enough."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            read_only = await request.app[POOL].fetchval("SELECT pg_is_in_recovery()")
    except OUTAGE:
        return "unreachable"
    return "read-only" if read_only else "ok"
