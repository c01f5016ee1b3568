"""The account holder's pages: balance, keys, usage, transactions, and how to sign in."""

from collections.abc import Iterable

from nijika.module import Plugin, Route
from nijika.plugins.dashboard import account, keys, overview, transactions, usage


class Dashboard(Plugin):
    """`/dashboard` and what is below it, for whoever is signed in; each sees the own account only."""

    def prerequisites(self) -> tuple[str, ...]:
        """Whoever holds an account is signed in."""
        return ("session",)

    def routes(self) -> Iterable[Route]:
        """Each page's own."""
        for room in (overview, keys, usage, transactions, account):
            yield from room.routes()
