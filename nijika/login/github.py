"""GitHub, and GitHub Enterprise. Source: docs.github.com, "Authorizing OAuth apps" and "REST API: users, emails"."""

from typing import Any, ClassVar

from nijika.errors import ProviderFailed
from nijika.login.client import Client
from nijika.login.identity import Identity, address, moment, plain_name
from nijika.login.provider import Addresses, Provider


class GitHub(Provider):
    """The e-mail is the primary one of `/user/emails`, if it is verified; the profile's own is anybody's claim."""

    name: ClassVar[str] = "github"
    title: ClassVar[str] = "GitHub"
    scope: ClassVar[str] = "user:email"
    default: ClassVar[Addresses] = Addresses(
        "https://github.com/login/oauth/authorize",
        "https://github.com/login/oauth/access_token",
        "https://api.github.com",
    )

    async def _read(self, client: Client, token: str) -> Identity:
        user = await client.get(f"{self.issuer}/user", token)
        number = user.get("id") if isinstance(user, dict) else None
        if not isinstance(number, int) or isinstance(number, bool):
            raise ProviderFailed("named nobody")
        return Identity(
            provider=self.name,
            issuer=self.issuer,
            subject=str(number),
            login=plain_name(user.get("login")),
            name=plain_name(user.get("name"), user.get("login")),
            email=_primary(await client.get(f"{self.issuer}/user/emails?per_page=100", token))
            if self._trusted
            else None,
            created_at=moment(user.get("created_at")),
        )

    @property
    def _trusted(self) -> bool:
        return self.trust_email or self.addresses == self.default


def _primary(emails: Any) -> str | None:
    """The primary address if it is verified (`true`, not merely something)."""
    for entry in emails if isinstance(emails, list) else ():
        if isinstance(entry, dict) and entry.get("primary") is True and entry.get("verified") is True:
            return address(entry.get("email"))
    return None
