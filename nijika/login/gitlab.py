"""GitLab, hosted or self-managed. Source: docs.gitlab.com, "OAuth 2.0 identity provider API" and "Users API"."""

from typing import ClassVar

from nijika.errors import ProviderFailed
from nijika.login.client import Client
from nijika.login.identity import Identity, address, moment, plain_name
from nijika.login.provider import Addresses, Provider


class GitLab(Provider):
    """The e-mail counts once GitLab says when it was confirmed, and on hosts that the operator trusts."""

    name: ClassVar[str] = "gitlab"
    title: ClassVar[str] = "GitLab"
    scope: ClassVar[str] = "read_user"
    default: ClassVar[Addresses] = Addresses(
        "https://gitlab.com/oauth/authorize", "https://gitlab.com/oauth/token", "https://gitlab.com/api/v4"
    )

    async def _read(self, client: Client, token: str) -> Identity:
        user = await client.get(f"{self.issuer}/user", token)
        number = user.get("id") if isinstance(user, dict) else None
        if not isinstance(number, int) or isinstance(number, bool):
            raise ProviderFailed("named nobody")
        confirmed = self.trust_email and moment(user.get("confirmed_at")) is not None
        return Identity(
            provider=self.name,
            issuer=self.issuer,
            subject=str(number),
            login=plain_name(user.get("username")),
            name=plain_name(user.get("name"), user.get("username")),
            email=address(user.get("email")) if confirmed else None,
            created_at=moment(user.get("created_at")),
        )
