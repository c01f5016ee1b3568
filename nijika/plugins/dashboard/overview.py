"""The first page: what is left, what was used lately, and what to do next."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from aiohttp import web

from nijika.database import connected
from nijika.module import FREE, Route
from nijika.pages.render import page
from nijika.state import POOL, PUBLIC_URL, ROUTES, VISITOR
from nijika.store import identities, keys, transactions, usage, webhooks
from nijika.store.transactions import Filter

DAYS = 30
RECENT = 6


def routes() -> Iterable[Route]:
    """`/dashboard`."""
    yield Route(("GET",), "/dashboard", _overview, FREE, who="user")


async def _overview(request: web.Request) -> web.Response:
    visitor = request[VISITOR]
    async with connected(request.app[POOL]) as connection:
        recent = await transactions.page(connection, visitor.account, Filter(), limit=RECENT)
        linked = await identities.of_user(connection, visitor.user)
        own = await keys.lasting(connection, visitor.account)
        balance = await usage.account(connection, visitor.account)
        since = datetime.now(UTC) - timedelta(days=DAYS - 1)
        is_unheard = await webhooks.is_any_in_trouble(connection, visitor.account)
        spent = await usage.spent_since(connection, visitor.account, since)
    unconfirmed = [row for row in linked if row["confirmed_at"] is None]
    return page(
        request,
        "dashboard/overview.html",
        balance=balance,
        spent=spent,
        days=DAYS,
        recent=recent,
        is_unheard=is_unheard,
        unconfirmed=unconfirmed,
        # Whoever came in by it cannot say whose it is.
        confirmable=any(row["provider"] != visitor.provider for row in unconfirmed),
        has_key=any(row["revoked_at"] is None for row in own),
        url=request.app[PUBLIC_URL],
        offer=next((route for route in request.app[ROUTES] if route.upstream is not None), None),
    )
