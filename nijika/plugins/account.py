"""What a program can ask about its own account."""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import asyncpg
from aiohttp import web

from nijika import credits
from nijika.database import OUTAGE
from nijika.errors import BadParameter, LedgerUnavailable, NotFound
from nijika.module import FREE, Plugin, Route
from nijika.state import KEY, MATCH, POOL
from nijika.store import usage

DAYS_MAX = 366

_DAYS = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)


class Account(Plugin):
    """`/api/account`, `/api/usage?days=30` and `/api/charges/{id}`; free, with a key. Amounts are decimal text."""

    def routes(self) -> Iterable[Route]:
        """The three routes."""
        yield Route(("GET",), "/api/account", _account, FREE, needs_key=True)
        yield Route(("GET",), "/api/usage", _usage, FREE, needs_key=True)
        yield Route(("GET",), "/api/charges/{id}", _charge, FREE, needs_key=True)


async def _account(request: web.Request) -> web.Response:
    async with _outage_told():
        row = await usage.account(request.app[POOL], request[KEY].account)
    return _answer(
        account=row["id"],
        **{name: credits.show(row[name]) for name in ("available", "held", "spent", "granted")},
        created_at=_time(row["created_at"]),
    )


async def _usage(request: web.Request) -> web.Response:
    days = request.query.get("days", "30")
    if _DAYS.fullmatch(days) is None or int(days) > DAYS_MAX:
        raise BadParameter(f"days is a whole number from 1 to {DAYS_MAX}.")
    async with _outage_told():
        rows = await usage.by_day(request.app[POOL], request[KEY].account, int(days))
    return _answer(usage=[_day(row) for row in rows])


async def _charge(request: web.Request) -> web.Response:
    try:
        id = UUID(request[MATCH].variables["id"])  # noqa: A001 (the field's name)
    except ValueError:
        raise NotFound from None
    async with _outage_told():
        row = await usage.charge(request.app[POOL], request[KEY].account, id)
    if row is None:
        raise NotFound
    return _answer(
        id=str(row["id"]),
        state=row["state"],
        reason=row["reason"],
        route=row["route"],
        status=row["status"],
        held=credits.show(row["held"]),
        captured=credits.show(row["captured"]),
        opened_at=_time(row["opened_at"]),
        settled_at=_time(row["settled_at"]),
    )


def _day(row: asyncpg.Record) -> dict[str, object]:
    calls = {name: row[name] for name in ("captured", "refunded", "held")}
    return {"day": row["day"].isoformat(), "route": row["route"], "calls": calls, "spent": credits.show(row["spent"])}


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _answer(**members: object) -> web.Response:
    return web.json_response(members, headers={"Cache-Control": "no-store"})


@asynccontextmanager
async def _outage_told() -> AsyncIterator[None]:
    try:
        yield
    except OUTAGE as error:
        raise LedgerUnavailable from error
