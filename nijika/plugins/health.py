"""Whether the gateway lives, and whether it can do its work."""

import asyncio
from collections.abc import Collection, Iterable
from typing import Literal

from aiohttp import web
from pydantic import BaseModel

from nijika.database import OUTAGE
from nijika.limits.shared import Shared
from nijika.module import FREE, About, Plugin, Route
from nijika.state import POOL, SHARED, STANDING, UPSTREAMS

PROBE_SECONDS = 2.0


class Health(Plugin):
    """`/health` answers while the process lives; `/ready` asks the database and tells how the others were doing."""

    def routes(self) -> Iterable[Route]:
        """`/health` and `/ready`."""
        yield Route(("GET",), "/health", _health, FREE, about=_ABOUT_HEALTH)
        yield Route(("GET",), "/ready", _ready, FREE, about=_ABOUT_READY)


class Alive(BaseModel):
    """The process lives."""

    status: Literal["ok"]


class Place(BaseModel):
    """One address of an upstream; one that has failed rests for a while, and is then on trial until a call succeeds."""

    state: Literal["ok", "resting", "trial"]
    in_flight: int
    failure: bool


class Readiness(BaseModel):
    """Whether calls can be charged; the rest tells how things were doing, but does not count.

    `configuration` is refused if the newest one was, and the gateway goes on by the one before (see its log).

    `waiting` counts the calls that wait for their turn at an upstream, in this process.
    `limits` are counted in this process (memory) or in Redis (shared); while Redis is away, in each process (local),
    or calls are refused (refused).
    """

    status: Literal["ok", "unavailable"]
    database: Literal["ok", "read-only", "unreachable"]
    limits: Literal["memory", "shared", "local", "refused"]
    configuration: Literal["ok", "refused"]
    upstreams: dict[str, list[Place]]
    waiting: dict[str, int]


_ABOUT_HEALTH = About("Whether the gateway lives", answer=Alive)
_ABOUT_READY = About("Whether the gateway can do its work", answer=Readiness, statuses=(200, 503))


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"}, headers={"Cache-Control": "no-store"})


async def _ready(request: web.Request) -> web.Response:
    """Upstreams are told of but not asked, and do not count: a worker may be scaled to zero on purpose."""
    database, limits = await _database(request), _limits(request.app[SHARED].values())
    is_ready = database == "ok" and limits != "refused"
    body = {
        "status": "ok" if is_ready else "unavailable",
        "database": database,
        "limits": limits,
        "configuration": "refused" if request.app[STANDING].refused else "ok",
        "upstreams": {name: upstream.state() for name, upstream in request.app[UPSTREAMS].items()},
        "waiting": {name: upstream.waiting for name, upstream in request.app[UPSTREAMS].items()},
    }
    headers = {"Cache-Control": "no-store"} | ({} if is_ready else {"Retry-After": "5"})
    return web.json_response(body, status=200 if is_ready else 503, headers=headers)


def _limits(places: Collection[Shared]) -> str:
    """Redis is not asked: the limiter knows."""
    away = [place for place in places if place.away]
    if any(place.is_vital for place in away):
        return "refused"
    if away:
        return "local"
    return "shared" if places else "memory"


async def _database(request: web.Request) -> str:
    """The ledger needs a database that takes writes, so one that only reads is not enough."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            read_only = await request.app[POOL].fetchval("SELECT pg_is_in_recovery()")
    except OUTAGE:
        return "unreachable"
    return "read-only" if read_only else "ok"
