"""What GitHub and GitLab have in common: where they are, and the two steps of a code flow."""

from dataclasses import dataclass, field
from types import TracebackType
from typing import ClassVar, Self
from urllib.parse import urlsplit

import aiohttp

from nijika.login.client import Client, open_session
from nijika.login.identity import Identity


@dataclass(frozen=True)
class Addresses:
    """Where a browser is sent to, where a code becomes a token, and where the API is (no slash at its end)."""

    authorize: str
    token: str
    api: str


@dataclass
class Provider:
    """One provider, open for as long as its block runs.

    `trust_email` is for hosts whose administrator's word on e-mail addresses counts.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    scope: ClassVar[str]
    default: ClassVar[Addresses]

    client_id: str
    client_secret: str
    addresses: Addresses
    trust_email: bool = False
    _session: aiohttp.ClientSession | None = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        self._session = open_session()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, where: TracebackType | None) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def issuer(self) -> str:
        """What makes its numbers unique: the API's address."""
        return self.addresses.api

    @property
    def origin(self) -> str:
        """Where its pages are."""
        parts = urlsplit(self.addresses.authorize)
        return f"{parts.scheme}://{parts.netloc}"

    def authorize_url(self, *, state: str, verifier: str, redirect_uri: str) -> str:
        """Where the browser goes to be asked (RFC 6749, 4.1.1; RFC 7636 with S256)."""
        url, _ = self._client().create_authorization_url(
            self.addresses.authorize, state=state, code_verifier=verifier, redirect_uri=redirect_uri
        )
        return str(url)

    async def identify(self, *, code: str, verifier: str, redirect_uri: str) -> Identity:
        """Who it is that a code stands for; the token is dropped. ProviderFailed."""
        client = self._client()
        url = self.addresses.token
        token = await client.token_for(url, code=code, verifier=verifier, redirect_uri=redirect_uri)
        return await self._read(client, token)

    async def _read(self, client: Client, token: str) -> Identity:
        raise NotImplementedError

    def _client(self) -> Client:
        assert self._session is not None, "only while the block runs"
        return Client(self._session, self.client_id, self.client_secret, self.scope)
