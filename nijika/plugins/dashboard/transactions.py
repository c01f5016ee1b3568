"""Every charge and grant of the account, with the reason of each refund; as pages, and as a file for a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import date
from uuid import UUID

import asyncpg
from aiohttp import hdrs, web
from yarl import URL

from nijika import credits
from nijika.database import connected
from nijika.errors import BadParameter
from nijika.module import FREE, Route
from nijika.pages import words
from nijika.pages.paging import ROWS, paged
from nijika.pages.reasons import sentence
from nijika.pages.render import SECURITY, iso, page
from nijika.state import POOL, VISITOR
from nijika.store import keys, transactions
from nijika.store.transactions import KINDS, Filter

COLUMNS = ("id", "time", "kind", "route", "key", "status", "held", "change", "reason", "settled")
FLUSH_BYTES = 65_536
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
FIRST, LAST = date(1970, 1, 1), date(2999, 12, 31)  # ids begin with milliseconds since then


def routes() -> Iterable[Route]:
    """The pages, and the file."""
    yield Route(("GET",), "/dashboard/transactions", _pages, FREE, who="user")
    yield Route(("GET",), "/dashboard/transactions.csv", _file, FREE, who="user")


async def _pages(request: web.Request) -> web.Response:
    account = request[VISITOR].account
    which, before = _filter(request.query), _id(request.query.get("before", ""))
    async with connected(request.app[POOL]) as connection:
        rows = await transactions.page(connection, account, which, before=before, limit=ROWS + 1)
        called = await transactions.routes(connection, account)
        own = await keys.of_account(connection, account)
    chosen = {name: request.query.get(name, "") for name in ("kind", "route", "key", "since", "until")}
    return page(
        request,
        "dashboard/transactions.html",
        page=paged(rows, "/dashboard/transactions", request.query, cursor="id"),
        file=str(URL("/dashboard/transactions.csv").with_query({name: text for name, text in chosen.items() if text})),
        chosen=chosen,
        filtered=any(chosen.values()),
        kinds=KINDS,
        called=called,
        own=own,
    )


async def _file(request: web.Request) -> web.StreamResponse:
    """All that the filter lets through, sent while it is read."""
    which = _filter(request.query)
    answer = web.StreamResponse(
        headers={
            hdrs.CONTENT_TYPE: "text/csv; charset=utf-8",
            hdrs.CONTENT_DISPOSITION: 'attachment; filename="nijika-transactions.csv"',
            hdrs.CACHE_CONTROL: "no-store",
            **SECURITY,
        }
    )
    text = io.StringIO()
    lines = csv.writer(text, quoting=csv.QUOTE_ALL)
    lines.writerow(COLUMNS)
    await answer.prepare(request)
    if request.method == hdrs.METH_HEAD:
        return answer
    # No connection is held while the caller reads, however slowly.
    async for row in transactions.everything(request.app[POOL], request[VISITOR].account, which):
        lines.writerow([_harmless(cell) for cell in _line(row)])
        if text.tell() > FLUSH_BYTES:
            await answer.write(_taken(text))
    await answer.write(_taken(text))
    await answer.write_eof()
    return answer


def _line(row: asyncpg.Record) -> list[str]:
    return [
        str(row["id"]),
        iso(row["at"]),
        row["kind"],
        row["route"] or "",
        row["key_name"] or "",
        str(row["status"] or ""),
        credits.show(row["held"]),
        credits.show(row["change"]),
        sentence(row["reason"]) if row["kind"] == "refunded" else row["reason"] or "",
        iso(row["settled_at"]),
    ]


def _harmless(cell: str) -> str:
    """A spreadsheet takes a cell that begins so for a formula; amounts are the exception (OWASP, CSV injection)."""
    is_amount = cell[:1] == "-" and cell[1:].replace(".", "", 1).isdigit()
    return f"'{cell}" if cell[:1] in FORMULA and not is_amount else cell


def _taken(text: io.StringIO) -> bytes:
    written = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return written


def _filter(query: Mapping[str, str]) -> Filter:
    kind, route = query.get("kind", ""), query.get("route", "")
    if "\x00" in route:
        raise BadParameter("There is no such route.")
    return Filter(
        kind=next((known for known in KINDS if known == kind), None),
        route=route or None,
        key=words.row_number(query.get("key", "")),
        since=_day(query.get("since", "")),
        until=_day(query.get("until", "")),
    )


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text) if text else None
    except ValueError:
        raise BadParameter("A day is written such as 2026-01-31.") from None
    if day is not None and not FIRST <= day <= LAST:
        raise BadParameter(f"A day lies between {FIRST} and {LAST}.")
    return day


def _id(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise BadParameter("There is no such page; begin with the first one.") from None
