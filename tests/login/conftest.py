"""A gateway whose providers are the OAuth servers of tests/providers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.browsing import SESSION_CHAIN
from tests.gateway import ROUTES, Gateway, configuration, loaded, serving, upstream_table
from tests.peers.upstream import Upstream
from tests.providers.provider import Provider

PAGES = """
[[routes]]
use = "site"
[[routes]]
use = "login"
[[routes]]
use = "dashboard"
"""
BONUS = "50"


def login_table(github: Provider, gitlab: Provider, *, first_user_is_admin: bool = False, trust: bool = True) -> str:
    """`[login]` for the two servers, as for GitHub Enterprise and a self-managed GitLab."""
    word = "true" if trust else "false"
    return f"""
[credits]
signup_bonus = "{BONUS}"
[login]
first_user_is_admin = {"true" if first_user_is_admin else "false"}
[login.github]
client_id = "{github.client_id}"
client_secret = "{github.client_secret}"
authorize_url = "{github.url}/login/oauth/authorize"
token_url = "{github.url}/login/oauth/access_token"
api_url = "{github.url}"
trust_email = {word}
[login.gitlab]
client_id = "{gitlab.client_id}"
client_secret = "{gitlab.client_secret}"
authorize_url = "{gitlab.url}/oauth/authorize"
token_url = "{gitlab.url}/oauth/token"
api_url = "{gitlab.url}/api/v4"
trust_email = {word}
"""


def site_configuration(upstream: Upstream, login: str) -> str:
    """A config.toml with the pages that signing in needs."""
    return configuration(upstream_table(upstream.url) + login, chain=SESSION_CHAIN, routes=ROUTES + PAGES)


async def allow(gateway: Gateway, *providers: Provider) -> None:
    """Tell the providers where they may send people back to."""
    for provider in providers:
        await provider.allow(f"{gateway.url}/auth/{provider.kind}/callback")


@pytest.fixture
async def site(
    database: str, tmp_path: Path, upstream: Upstream, github: Provider, gitlab: Provider
) -> AsyncIterator[Gateway]:
    """A gateway with both providers, which trusts their word on e-mail addresses."""
    config = loaded(tmp_path, site_configuration(upstream, login_table(github, gitlab)))
    async with serving(config, database, is_public=True) as gateway:
        await allow(gateway, github, gitlab)
        yield gateway
