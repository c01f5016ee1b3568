"""The staff's pages: users, their credit and roles, how the system does, and who did what."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiohttp import web
from pydantic import PrivateAttr

from nijika.module import Plugin, Route
from nijika.plugins.staff import audit, changes, system, user, users
from nijika.plugins.staff.ledger import Verification


class Staff(Plugin):
    """`/staff` and what is below it: users for moderators; money, roles, system and audit for admins."""

    _verification: Verification = PrivateAttr(default_factory=Verification)

    def prerequisites(self) -> tuple[str, ...]:
        """Power belongs to somebody who is signed in."""
        return ("session",)

    def routes(self) -> Iterable[Route]:
        """Each page's own."""
        for room in (users, user, changes, system, audit, self._verification):
            yield from room.routes()

    @asynccontextmanager
    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:  # noqa: ARG002 (the signature of all)
        """A verification that is under way ends with the gateway."""
        try:
            yield
        finally:
            await self._verification.close()
