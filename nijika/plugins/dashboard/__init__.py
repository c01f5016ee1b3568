"""The account holder's pages: balance, keys, usage, transactions, and how to sign in."""

from collections.abc import Iterable

from nijika.module import Plugin, Route
from nijika.plugins.dashboard.account import routes as account
from nijika.plugins.dashboard.keys import routes as keys
from nijika.plugins.dashboard.overview import routes as overview
from nijika.plugins.dashboard.transactions import routes as transactions
from nijika.plugins.dashboard.usage import routes as usage


class Dashboard(Plugin):
    """`/dashboard` and what is below it, for whoever is signed in; each sees the own account only."""

    def prerequisites(self) -> tuple[str, ...]:
        """Whoever holds an account is signed in."""
        return ("session",)

    def routes(self) -> Iterable[Route]:
        """Each page's own."""
        for room in (overview, keys, usage, transactions, account):
            yield from room()
