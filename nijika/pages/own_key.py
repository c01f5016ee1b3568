"""The key with which the visitor's own programs call: for examples, masked unless it is asked for."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
from aiohttp import web

from nijika.database import connected
from nijika.state import POOL, VAULT, VISITOR
from nijika.store import keys
from nijika.store.vault import PREFIX, Vault

NO_KEY = f"{PREFIX}…"


@dataclass(frozen=True)
class OwnKey:
    """A living key that can be shown."""

    text: str

    @property
    def masked(self) -> str:
        """Enough to tell it from others."""
        return f"{PREFIX}…{self.text[-keys.HINT_CHARACTERS :]}"


class OwnKeys:
    """The living keys of whoever is signed in, the oldest first; those of browsers' sessions are not among them."""

    def __init__(self, rows: Iterable[asyncpg.Record], vault: Vault) -> None:
        self._rows = list(rows)
        self._vault = vault

    def allowed_on(self, route: str) -> OwnKey | None:
        """The first of them that may be used on a route, and be shown."""
        for row in self._rows:
            if row["scopes"] is None or route in row["scopes"]:
                text = self._vault.open(row["sealed"]) if row["sealed"] else None
                if text is not None:
                    return OwnKey(text)
        return None


async def of_visitor(request: web.Request) -> OwnKeys:
    """Nobody has none."""
    visitor, vault = request.get(VISITOR), request.app[VAULT]
    if visitor is None:
        return OwnKeys((), vault)
    async with connected(request.app[POOL]) as connection:
        rows = await keys.lasting(connection, visitor.account)
    now = datetime.now(UTC)
    alive = (
        row for row in rows if row["revoked_at"] is None and (row["expires_at"] is None or row["expires_at"] > now)
    )
    return OwnKeys(alive, vault)
