"""How the whole system does: people, money, calls, workers, gateways."""

from collections.abc import Iterable, Sequence

import asyncpg
from aiohttp import web

from nijika.database import connected
from nijika.ledger import report
from nijika.module import FREE, Route
from nijika.pages import reasons, words
from nijika.pages.render import page
from nijika.state import POOL, UPSTREAMS
from nijika.store import size, users

PATH = "/staff/system"
CALLS_MAX = 100_000
OPEN_MAX = 50


def routes() -> Iterable[Route]:
    """`/staff/system`."""
    yield Route(("GET",), PATH, _system, FREE, who="admin")


async def _system(request: web.Request) -> web.Response:
    async with connected(request.app[POOL]) as connection:
        people = await users.counts(connection)
        money = await report.totals(connection)
        lately = await report.lately(connection, CALLS_MAX)
        open_charges = await report.oldest_open(connection, OPEN_MAX + 1)
        gateways = await report.gateways(connection)
        database_bytes = await size.of_database(connection)
    return page(
        request,
        "staff/system.html",
        people=people,
        money=money,
        calls=calls(lately),
        refunds=[(reasons.sentence(row["reason"]), row["calls"]) for row in lately if row["state"] == "refunded"],
        open_charges=open_charges[:OPEN_MAX],
        has_more_open=len(open_charges) > OPEN_MAX,
        upstreams=request.app[UPSTREAMS].values(),
        gateways=gateways,
        database_size=megabytes(database_bytes),
        duration=words.duration,
    )


def calls(rows: Sequence[asyncpg.Record]) -> dict[str, object]:
    """The last day in figures: how many calls, the share that succeeded, and how long those took."""
    counted = {state: sum(row["calls"] for row in rows if row["state"] == state) for state in STATES}
    settled = counted["captured"] + counted["refunded"]
    median, slow = next((row["seconds"] for row in rows if row["state"] == "captured"), (None, None))
    return {
        **counted,
        "success": f"{counted['captured'] / settled:.1%}" if settled else "",
        "median": words.duration(median),
        "slow": words.duration(slow),
        "is_all": sum(counted.values()) < CALLS_MAX,
    }


STATES = ("captured", "refunded", "held")


def megabytes(count: int) -> str:
    """A size in the unit that people compare."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
