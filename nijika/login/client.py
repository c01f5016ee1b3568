"""authlib's OAuth client on aiohttp: the same bytes on the wire, without a second HTTP stack."""

import json
from collections.abc import Mapping
from typing import Any

import aiohttp
from authlib.oauth2.client import OAuth2Client

from nijika.errors import ProviderFailed

ANSWER_BYTES_MAX = 1_048_576
SECONDS = 15.0
AGENT = "nijika"


class Client(OAuth2Client):
    """One code flow at one provider. Whatever goes wrong there is ProviderFailed, with a cause for the log."""

    def __init__(self, session: aiohttp.ClientSession, client_id: str, client_secret: str, scope: str) -> None:
        super().__init__(
            session,
            client_id,
            client_secret,
            token_endpoint_auth_method="client_secret_post",  # noqa: S106 (a method's name)
            scope=scope,
            code_challenge_method="S256",
        )

    async def token_for(self, url: str, *, code: str, verifier: str, redirect_uri: str) -> str:
        """The access token that a code stands for."""
        token = await self.fetch_token(
            url, grant_type="authorization_code", code=code, code_verifier=verifier, redirect_uri=redirect_uri
        )
        text = token.get("access_token")
        if not isinstance(text, str) or not text:
            raise ProviderFailed("sent no access token")
        return text

    async def get(self, url: str, token: str) -> Any:
        """What the provider's API answers, as JSON."""
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", "User-Agent": AGENT}
        return await self._asked("GET", url, headers)

    async def _fetch_token(
        self, url: str, body: str = "", headers: Mapping[str, str] | None = None, auth: Any = None, **_: object
    ) -> dict[str, Any]:
        """authlib's own calls a synchronous session; this is the one place that touches the wire."""
        url, fields, body = auth.prepare("POST", url, dict(headers or {}), body)
        fields.pop("Content-Length", None)
        token = await self._asked("POST", url, {**fields, "User-Agent": AGENT}, body)
        if not isinstance(token, dict):
            raise ProviderFailed("sent a token that is no object")
        if "error" in token:
            # GitHub says so with status 200. authlib's own error would refuse what a provider may well write.
            raise ProviderFailed(f"refused the code: {token['error']!r:.200}")
        return token

    async def _asked(self, method: str, url: str, headers: Mapping[str, str], form: str | None = None) -> Any:
        try:
            async with self.session.request(method, url, headers=headers, data=form, allow_redirects=False) as answer:
                text = await _bounded(answer)
                if answer.status >= 500 or (form is None and answer.status != 200):  # noqa: PLR2004
                    raise ProviderFailed(f"answered {answer.status}")
                return json.loads(text)
        except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError) as error:
            raise ProviderFailed(f"{type(error).__name__}: {error}") from error


def open_session() -> aiohttp.ClientSession:
    """A session of a provider: no cookies between people, and a time limit for the whole of each call."""
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=SECONDS), read_bufsize=ANSWER_BYTES_MAX
    )


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    text = bytearray()
    async for chunk in answer.content.iter_any():
        text += chunk
        if len(text) > ANSWER_BYTES_MAX:
            raise ProviderFailed("sent more than an answer should be")
    return bytes(text)
