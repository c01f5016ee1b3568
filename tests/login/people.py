"""What the tests of sign-in ask about the people in the database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

import aiohttp
from aiohttp import CookieJar

from tests.gateway import Gateway
from tests.providers.provider import Provider
from tests.providers.visitor import sign_in


@asynccontextmanager
async def visiting() -> AsyncIterator[aiohttp.ClientSession]:
    """One more visitor with cookies of their own."""
    async with aiohttp.ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        yield session


async def signed_in(
    visitor: aiohttp.ClientSession, gateway: Gateway, provider: Provider, person: int | None = 1
) -> aiohttp.ClientResponse:
    """Go to the provider and back; the last answer."""
    return await sign_in(visitor, f"{gateway.url}/auth/{provider.kind}", provider, person)


async def everyone(gateway: Gateway) -> list[dict[str, Any]]:
    """All users, with their accounts' credit and their identities."""
    rows = await gateway.pool.fetch(
        """SELECT u.id, u.name, u.email, u.role, a.granted / 1000000 AS granted,
                  (SELECT array_agg(provider ORDER BY provider) FROM identities i WHERE i."user" = u.id) AS linked
             FROM users u JOIN accounts a ON a.id = u.account ORDER BY u.id"""
    )
    return [dict(row) for row in rows]


async def sessions(gateway: Gateway) -> int:
    """How many sessions there are."""
    return cast("int", await gateway.pool.fetchval("SELECT count(*) FROM sessions"))


def written(moment: datetime) -> str:
    """A moment as the providers write it."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
