"""An OAuth server as a test sees it: it makes people, orders faults, and reads what the gateway sent."""

from dataclasses import dataclass
from types import EllipsisType
from typing import Any, Literal, TypedDict, cast

import aiohttp
from yarl import URL

Kind = Literal["github", "gitlab"]

# As authority.mjs has them; a secret that form encoding changes.
CLIENT_ID = "the-client-of-the-tests"
CLIENT_SECRET = "the secret of the tests, + & % = included"


class TokenRequest(TypedDict):
    """What came to the token endpoint."""

    form: dict[str, str]
    authorization: str | None
    accept: str | None
    user_agent: str | None


class ApiRequest(TypedDict):
    """What came to /user and its like."""

    path: str
    authorization: str | None
    accept: str | None
    user_agent: str | None


class Elsewhere(TypedDict):
    """What came to the address that the fault `redirect` points at."""

    method: str
    headers: dict[str, str]
    body: str


class Seen(TypedDict):
    """The requests since the test began, in their order."""

    authorization: list[dict[str, str]]
    token: list[TokenRequest]
    api: list[ApiRequest]
    elsewhere: list[Elsewhere]


@dataclass(frozen=True)
class Provider:
    """One OAuth server, empty at the start of each test."""

    kind: Kind
    url: str
    session: aiohttp.ClientSession
    client_id: str = CLIENT_ID
    client_secret: str = CLIENT_SECRET

    async def person(self, id: int = 1, /, **fields: Any | EllipsisType) -> int:
        """Makes somebody who can sign in, or changes them; a field given as `...` is left out of the answers.

        Fields are those of the real API, passed on as they are: `id`, `login` (GitLab: `username`), `name`, `email`,
        `created_at`, GitHub's `emails`, GitLab's `confirmed_at`. The positional id says whose button is pressed.
        """
        profile = _github(id) if self.kind == "github" else _gitlab(id)
        profile |= fields
        await self._send("PUT", f"_people/{id}", {name: value for name, value in profile.items() if value is not ...})
        return id

    async def faults(self, **faults: str) -> None:
        """Breaks `token`, `user` or `emails` until the test ends or `mend` is called.

        A fault is a status ("500") or one of hang, drop, empty, garbage, html, huge, list, redirect (307 to an
        address that notes it in `seen()["elsewhere"]`); for `token` also no_token, for `user` also no_id.
        """
        await self._send("PUT", "_faults", faults)

    async def mend(self) -> None:
        """Ends all faults."""
        await self._send("DELETE", "_faults")

    async def allow(self, *redirect_uris: str | URL) -> None:
        """Sets the only addresses that may be a redirect_uri, letter for letter."""
        await self._send("PUT", "_redirect_uris", [str(uri) for uri in redirect_uris])

    async def seen(self) -> Seen:
        """What came to this server since the test began."""
        async with self.session.get(f"{self.url}/_seen") as answer:
            return cast("Seen", await answer.json())

    async def forget(self) -> None:
        """Empties the server."""
        await self._send("DELETE", "_everything")

    async def _send(self, method: str, path: str, body: Any = None) -> None:
        async with self.session.request(method, f"{self.url}/{path}", json=body) as answer:
            assert answer.ok, f"{method} {path}: {await answer.text()}"


def _github(id: int) -> dict[str, Any]:
    email = {"email": f"person{id}@example.com", "primary": True, "verified": True, "visibility": "private"}
    return {
        "id": id,
        "login": f"person{id}",
        "name": f"Person {id}",
        "email": None,
        "created_at": "2015-01-02T03:04:05Z",
        "emails": [email],
    }


def _gitlab(id: int) -> dict[str, Any]:
    return {
        "id": id,
        "username": f"person{id}",
        "name": f"Person {id}",
        "email": f"person{id}@example.com",
        "confirmed_at": "2015-01-02T03:04:05.678Z",
        "created_at": "2015-01-02T03:04:05.678Z",
        "state": "active",
    }
