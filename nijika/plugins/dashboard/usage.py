"""How much was called and spent over a day, a month and a year, by route and by result."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
from aiohttp import web

from nijika.credits import MICRO
from nijika.database import outage_told
from nijika.module import FREE, Route
from nijika.pages.chart import Bar, Chart, stacked
from nijika.pages.render import page
from nijika.state import POOL, VISITOR
from nijika.store import usage
from nijika.store.usage import Unit

RESULTS = (("captured", "paid"), ("refunded", "refunded"), ("held", "under way"))
ROUTES_SHOWN = 4


@dataclass(frozen=True)
class Span:
    """What a chart covers: `steps` of one `unit`, the current one included."""

    title: str
    unit: Unit
    steps: int
    label: str

    def starts(self, now: datetime) -> list[datetime]:
        """The beginning of each step, the oldest first."""
        return list(reversed([_back(self.unit, now, number) for number in range(self.steps)]))


SPANS = {
    "24h": Span("24 hours", "hour", 24, "%H:00"),
    "30d": Span("30 days", "day", 30, "%-d %b"),
    "12m": Span("12 months", "month", 12, "%b %Y"),
}


def routes() -> Iterable[Route]:
    """`/dashboard/usage?span=24h|30d|12m&route=…`."""
    yield Route(("GET",), "/dashboard/usage", _usage, FREE, who="user")


async def _usage(request: web.Request) -> web.Response:
    name = request.query.get("span", "30d")
    span = SPANS.get(name, SPANS["30d"])
    starts = span.starts(datetime.now(UTC))
    async with outage_told():
        rows = await usage.series(request.app[POOL], request[VISITOR].account, span.unit, starts[0])
    called = sorted({row["route"] for row in rows})
    chosen = request.query.get("route", "")
    shown = [row for row in rows if not chosen or row["route"] == chosen]
    return page(
        request,
        "dashboard/usage.html",
        spans=SPANS,
        span=name if name in SPANS else "30d",
        called=called,
        chosen=chosen if chosen in called else "",
        calls=by_result(shown, starts, span.label),
        spending=by_route(shown, starts, span.label),
        results=RESULTS,
        top=_top(shown),
        steps=list(reversed(_steps(shown, starts))),
        label=span.label,
        totals=_totals(shown),
        by_route=[(route, _totals([row for row in shown if row["route"] == route])) for route in _ranked(shown)],
    )


def by_result(rows: Sequence[asyncpg.Record], starts: Sequence[datetime], label: str) -> Chart:
    """Calls in each step, by how they ended."""
    bars = [
        Bar(start.strftime(label), tuple(totals[name] for name, _ in RESULTS)) for start, totals in _steps(rows, starts)
    ]
    return stacked(bars, RESULTS, unit="calls")


def by_route(rows: Sequence[asyncpg.Record], starts: Sequence[datetime], label: str) -> Chart:
    """Credits in each step, by the routes that cost most; the others together."""
    top = _top(rows)
    names = [name for name, _ in top]
    spent = {start: [0.0] * len(top) for start in starts}
    for row in rows:
        part = names.index(row["route"]) if row["route"] in names else -1
        spent.get(row["start"].replace(tzinfo=UTC), [0.0] * len(top))[part] += row["spent"] / MICRO
    bars = [Bar(start.strftime(label), tuple(parts)) for start, parts in spent.items()]
    return stacked(bars, [(f"part{number}", name) for number, name in enumerate(names)], unit="credits")


def _top(rows: Sequence[asyncpg.Record]) -> list[tuple[str, int]]:
    """The routes that cost most, with what they cost, and perhaps "others"."""
    ranked = _ranked(rows)
    top = [(route, sum(row["spent"] for row in rows if row["route"] == route)) for route in ranked[:ROUTES_SHOWN]]
    if len(ranked) > ROUTES_SHOWN:
        top.append(("others", sum(row["spent"] for row in rows) - sum(spent for _, spent in top)))
    return top


def _ranked(rows: Sequence[asyncpg.Record]) -> list[str]:
    names = {row["route"] for row in rows}
    return sorted(names, key=lambda route: (-sum(row["spent"] for row in rows if row["route"] == route), route))


def _steps(rows: Sequence[asyncpg.Record], starts: Sequence[datetime]) -> list[tuple[datetime, dict[str, int]]]:
    return [(start, _totals([row for row in rows if row["start"].replace(tzinfo=UTC) == start])) for start in starts]


def _totals(rows: Sequence[asyncpg.Record]) -> dict[str, int]:
    return {name: sum(row[name] for row in rows) for name in ("captured", "refunded", "held", "spent")}


def _back(unit: Unit, now: datetime, number: int) -> datetime:
    """The beginning of the step that was `number` steps ago."""
    if unit == "hour":
        return now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=number)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "day":
        return today - timedelta(days=number)
    months = today.year * 12 + today.month - 1 - number
    return today.replace(year=months // 12, month=months % 12 + 1, day=1)
