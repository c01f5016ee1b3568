"""The whole house for a browser: every page, both providers, and the real worker behind the gateway."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from playwright.async_api import Page

from nijika.state import POOL
from tests.browser.watch import Watch
from tests.browsing import SESSION_CHAIN
from tests.gateway import Gateway, configuration, loaded, serving, upstream_table
from tests.login.conftest import allow, login_table
from tests.providers.provider import Provider
from worker.server import Settings, Worker, runner

NAMES = ("health", "site", "login", "dashboard", "playground", "staff", "openapi", "account", "webhooks")
ALLOW = 'allow = ["127.0.0.0/8"]\n'
PROXY = """
[[routes]]
use = "proxy"
path = "/api/removebg"
upstream = "worker"
target = "/v1/cutout"
price = "0.01"
"""
ROUTES = "".join(f'[[routes]]\nuse = "{name}"\n' for name in NAMES) + ALLOW + PROXY


@dataclass
class House:
    """A running gateway with all of its pages."""

    gateway: Gateway
    github: Provider
    gitlab: Provider

    @property
    def url(self) -> str:
        return self.gateway.url

    async def sign_in(self, page: Page, provider: Provider, person: int = 1) -> None:
        """As a person does it, from the front page to the dashboard."""
        await page.goto(self.url)
        await page.click(".who >> text=Sign in")
        await page.click(f"text=Continue with {'GitHub' if provider.kind == 'github' else 'GitLab'}")
        await page.click(f'button[name="login"][value="{person}"]')
        await page.wait_for_url(re.compile(re.escape(self.url) + "/"))

    async def make_admin(self, user: int) -> None:
        await self.gateway.app[POOL].execute("UPDATE users SET role = 'admin' WHERE id = $1", user)


@asynccontextmanager
async def opened(
    database: str, directory: Path, github: Provider, gitlab: Provider, watch: Watch
) -> AsyncIterator[House]:
    """The house, for as long as the block runs."""
    async with _worker() as worker_url:
        text = configuration(
            upstream_table(worker_url) + login_table(github, gitlab), chain=SESSION_CHAIN, routes=ROUTES
        )
        async with serving(loaded(directory, text), database, is_public=True) as gateway:
            await allow(gateway, github, gitlab)
            watch.allow(gateway.url, github.url, gitlab.url)
            yield House(gateway, github, gitlab)


@asynccontextmanager
async def _worker() -> AsyncIterator[str]:
    worker = Worker(Settings(waiting_max=50))
    run = runner(worker, drain_seconds=1)
    await run.setup()
    await web.TCPSite(run, "127.0.0.1", 0).start()
    await worker.loading
    yield f"http://127.0.0.1:{run.addresses[0][1]}"
    await run.cleanup()
