"""What an account used over a day, a month or a year: its sums, and its charts by result and by route."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self

import asyncpg

from nijika.credits import MICRO
from nijika.database import Pool, outage_told
from nijika.pages.chart import Bar, Chart, stacked
from nijika.store import usage
from nijika.store.usage import Unit

RESULTS = (("captured", "paid"), ("refunded", "refunded"), ("held", "under way"))
"""How a call can have ended: the class of the style sheet, and the word."""

ROUTES_SHOWN = 4
SUMS = ("captured", "refunded", "held", "spent")


@dataclass(frozen=True)
class Span:
    """What is covered: `steps` of one `unit`, the current one included; `label` is strftime's, for a step."""

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


@dataclass(frozen=True)
class Consumption:
    """Calls by result, and micro-credits `spent`, in the steps of a span; `rows` are by step and route."""

    span: Span
    starts: Sequence[datetime]
    rows: Sequence[asyncpg.Record]

    @classmethod
    async def of(cls, pool: Pool, account: int, span: Span) -> Self:
        """Read it. LedgerUnavailable if the database is away."""
        starts = span.starts(datetime.now(UTC))
        async with outage_told():
            return cls(span, starts, await usage.series(pool, account, span.unit, starts[0]))

    def only(self, route: str) -> Self:
        """That of one route."""
        return replace(self, rows=[row for row in self.rows if row["route"] == route])

    @property
    def totals(self) -> dict[str, int]:
        """Each of SUMS, over the whole span."""
        return _sums(self.rows)

    @property
    def steps(self) -> list[tuple[datetime, dict[str, int]]]:
        """Each of SUMS by step, the oldest first."""
        return [
            (start, _sums([row for row in self.rows if row["start"].replace(tzinfo=UTC) == start]))
            for start in self.starts
        ]

    @property
    def by_route(self) -> list[tuple[str, dict[str, int]]]:
        """Each of SUMS by route, the most expensive first."""
        routes = [(route, self.only(route).totals) for route in {row["route"] for row in self.rows}]
        return sorted(routes, key=lambda pair: (-pair[1]["spent"], pair[0]))

    @property
    def calls(self) -> Chart:
        """Calls in each step, by how they ended."""
        bars = [
            Bar(start.strftime(self.span.label), tuple(sums[name] for name, _ in RESULTS)) for start, sums in self.steps
        ]
        return stacked(bars, RESULTS, unit="calls")

    @property
    def parts(self) -> list[tuple[str, str]]:
        """The routes that the chart of credits tells apart, with their classes; all others are its last part."""
        names = [route for route, _ in self.by_route]
        shown = names if len(names) <= ROUTES_SHOWN else [*names[:ROUTES_SHOWN], "others"]
        return [(f"part{number}", name) for number, name in enumerate(shown)]

    @property
    def credits(self) -> Chart:
        """Credits in each step, by route."""
        names = [name for _, name in self.parts]
        spent = {start: [0.0] * len(names) for start in self.starts}
        for row in self.rows:
            start = row["start"].replace(tzinfo=UTC)
            if start in spent:
                spent[start][names.index(row["route"]) if row["route"] in names else -1] += row["spent"] / MICRO
        bars = [Bar(start.strftime(self.span.label), tuple(values)) for start, values in spent.items()]
        return stacked(bars, self.parts, unit="credits")


def _sums(rows: Sequence[asyncpg.Record]) -> dict[str, int]:
    return {name: sum(row[name] for row in rows) for name in SUMS}


def _back(unit: Unit, now: datetime, number: int) -> datetime:
    """The beginning of the step that was `number` steps ago."""
    if unit == "hour":
        return now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=number)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "day":
        return today - timedelta(days=number)
    months = today.year * 12 + today.month - 1 - number
    return today.replace(year=months // 12, month=months % 12 + 1, day=1)
