"""The fixtures of the OAuth servers: one process for the whole run, empty servers for each test."""

from collections.abc import AsyncIterator, Iterator
from typing import cast

import aiohttp
import pytest

from tests.providers import process
from tests.providers.provider import Provider


@pytest.fixture(scope="session")
def provider_urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The addresses of the OAuth servers: `github` and `gitlab`."""
    with process.serving(tmp_path_factory.mktemp("providers") / "log") as urls:
        yield urls


@pytest.fixture
async def github(provider_urls: dict[str, str]) -> AsyncIterator[Provider]:
    """GitHub with nobody in it."""
    async with aiohttp.ClientSession() as session:
        provider = Provider("github", provider_urls["github"], session)
        await provider.forget()
        yield provider


@pytest.fixture
async def gitlab(provider_urls: dict[str, str]) -> AsyncIterator[Provider]:
    """GitLab with nobody in it."""
    async with aiohttp.ClientSession() as session:
        provider = Provider("gitlab", provider_urls["gitlab"], session)
        await provider.forget()
        yield provider


@pytest.fixture(params=["github", "gitlab"])
def provider(request: pytest.FixtureRequest) -> Provider:
    """GitHub and GitLab, one after the other."""
    return cast("Provider", request.getfixturevalue(request.param))


@pytest.fixture
async def visitor() -> AsyncIterator[aiohttp.ClientSession]:
    """A visitor's cookies and connections; hosts may be IP addresses."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session
