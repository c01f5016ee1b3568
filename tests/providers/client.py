"""An OAuth client written by hand from RFC 6749 and 7636, which can make every mistake that a client can make."""

import base64
import hashlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
from yarl import URL

from tests.providers.provider import Provider
from tests.providers.visitor import authorise

CALLBACK = "http://127.0.0.1:1/auth/callback"
VERIFIER = "a-verifier-of-forty-three-characters-or-more-0123456789"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
STATE = "state with spaces & signs"

PATHS = {
    "github": ("/login/oauth/authorize", "/login/oauth/access_token"),
    "gitlab": ("/oauth/authorize", "/oauth/token"),
}
SCOPES = {"github": "read:user user:email", "gitlab": "read_user"}


@dataclass
class Client:
    """A client of one provider; fields override what is right, and None leaves it out."""

    provider: Provider
    session: aiohttp.ClientSession

    def start(self, **fields: str | None) -> URL:
        """The URL that asks for a sign-in."""
        right = {
            "client_id": self.provider.client_id,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": SCOPES[self.provider.kind],
            "state": STATE,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return URL(self.provider.url + PATHS[self.provider.kind][0]).with_query(_present(right | fields))

    async def code(self, person: int = 1, /, **fields: str | None) -> str:
        """The code of a sign-in that the person agreed to."""
        callback = await authorise(self.session, self.start(**fields), self.provider, person)
        return callback.query["code"]

    async def exchange(self, code: str, accept: str = "application/json", /, **fields: str | None) -> tuple[int, Any]:
        """Status and fields of the token endpoint's answer."""
        right = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "client_id": self.provider.client_id,
            "client_secret": self.provider.client_secret,
            "code_verifier": VERIFIER,
        }
        url = self.provider.url + PATHS[self.provider.kind][1]
        async with self.session.post(url, data=_present(right | fields), headers={"Accept": accept}) as answer:
            if answer.content_type == "application/x-www-form-urlencoded":
                return answer.status, dict(parse_qsl(await answer.text()))
            return answer.status, await answer.json()

    async def token(self, **fields: str | None) -> str:
        """An access token, all the way from the start."""
        _, answer = await self.exchange(await self.code(**fields))
        return str(answer["access_token"])

    async def get(self, path: str, token: str, **headers: str) -> tuple[int, Any]:
        """Status and JSON of a resource."""
        fields = {"Authorization": f"Bearer {token}", "Accept": "application/json"} | headers
        async with self.session.get(self.provider.url + path, headers=fields) as answer:
            return answer.status, await answer.json(content_type=None)


def _present(fields: dict[str, str | None] | dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value is not None}
