"""What a program can ask about its own account."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import asyncpg
from aiohttp import web
from pydantic import BaseModel, Field

from nijika import credits
from nijika.database import connected, outage_told
from nijika.errors import BadParameter, LedgerUnavailable, NotFound
from nijika.module import FREE, About, Parameter, Plugin, Route
from nijika.state import KEY, MATCH, POOL
from nijika.store import usage

DAYS_MAX = 366

_DAYS = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)

Credits = Annotated[
    str, Field(description="Credits, as decimal text.", pattern=r"^[0-9]+(\.[0-9]{1,6})?$", examples=["0.01"])
]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-23T11:25:43.996Z"])]


class Balance(BaseModel):
    """What the account has; `available`, `held` and `spent` are together what was `granted`."""

    account: int
    available: Credits
    held: Credits
    spent: Credits
    granted: Credits
    created_at: Moment


class Calls(BaseModel):
    """Calls by how they ended; held ones are under way."""

    captured: int
    refunded: int
    held: int


class Day(BaseModel):
    """What one route was used for in one day (UTC)."""

    day: Annotated[str, Field(json_schema_extra={"format": "date"}, examples=["2026-11-23"])]
    route: str
    calls: Calls
    spent: Credits


class Usage(BaseModel):
    """The newest day first."""

    usage: list[Day]


class Charge(BaseModel):
    """One call, and what became of its price; `id` is the call's X-Request-ID."""

    id: Annotated[str, Field(json_schema_extra={"format": "uuid"})]
    state: Literal["held", "captured", "refunded"]
    reason: Annotated[str | None, Field(description="Why it was refunded; else null.")]
    route: str
    status: Annotated[int | None, Field(description="The status of the worker's answer, if there was one.")]
    held: Credits
    captured: Credits
    opened_at: Moment
    settled_at: Moment | None


class Account(Plugin):
    """`/api/account`, `/api/usage?days=30` and `/api/charges/{id}`; free, with a key. Amounts are decimal text."""

    def routes(self) -> Iterable[Route]:
        """The three routes."""
        yield Route(("GET",), "/api/account", _account, FREE, needs_key=True, about=_ABOUT_ACCOUNT)
        yield Route(("GET",), "/api/usage", _usage, FREE, needs_key=True, about=_ABOUT_USAGE)
        yield Route(("GET",), "/api/charges/{id}", _charge, FREE, needs_key=True, about=_ABOUT_CHARGE)


_ABOUT_ACCOUNT = About("What your account has", answer=Balance, problems=(LedgerUnavailable,))
_ABOUT_USAGE = About(
    "What you used, by day and route",
    parameters=(
        Parameter(
            "days",
            "How many days, today among them.",
            {"type": "integer", "minimum": 1, "maximum": DAYS_MAX, "default": 30},
        ),
    ),
    answer=Usage,
    problems=(BadParameter, LedgerUnavailable),
)
_ABOUT_CHARGE = About(
    "What became of one call",
    "For a call that broke off: it was paid for if its charge is `captured`.",
    parameters=(Parameter("id", "The call's X-Request-ID.", {"type": "string", "format": "uuid"}),),
    answer=Charge,
    problems=(NotFound, LedgerUnavailable),
)


async def _account(request: web.Request) -> web.Response:
    async with connected(request.app[POOL]) as connection:
        row = await usage.account(connection, request[KEY].account)
    return _answer(
        Balance(
            account=row["id"],
            available=credits.show(row["available"]),
            held=credits.show(row["held"]),
            spent=credits.show(row["spent"]),
            granted=credits.show(row["granted"]),
            created_at=_time(row["created_at"]),
        )
    )


async def _usage(request: web.Request) -> web.Response:
    days = request.query.get("days", "30")
    if _DAYS.fullmatch(days) is None or int(days) > DAYS_MAX:
        raise BadParameter(f"days is a whole number from 1 to {DAYS_MAX}.")
    async with outage_told():
        rows = await usage.by_day(request.app[POOL], request[KEY].account, int(days))
    return _answer(Usage(usage=[_day(row) for row in rows]))


async def _charge(request: web.Request) -> web.Response:
    try:
        id = UUID(request[MATCH].variables["id"])  # noqa: A001 (the field's name)
    except ValueError:
        raise NotFound from None
    async with outage_told():
        row = await usage.charge(request.app[POOL], request[KEY].account, id)
    if row is None:
        raise NotFound
    return _answer(
        Charge(
            id=str(row["id"]),
            state=row["state"],
            reason=row["reason"],
            route=row["route"],
            status=row["status"],
            held=credits.show(row["held"]),
            captured=credits.show(row["captured"]),
            opened_at=_time(row["opened_at"]),
            settled_at=None if row["settled_at"] is None else _time(row["settled_at"]),
        )
    )


def _day(row: asyncpg.Record) -> Day:
    calls = Calls(captured=row["captured"], refunded=row["refunded"], held=row["held"])
    return Day(day=row["day"].isoformat(), route=row["route"], calls=calls, spent=credits.show(row["spent"]))


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _answer(answer: BaseModel) -> web.Response:
    return web.json_response(answer.model_dump(), headers={"Cache-Control": "no-store"})
