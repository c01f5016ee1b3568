"""A browser for each test, and pages whose complaints fail it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from tests.browser.chromium import launched, new_page
from tests.browser.watch import Watch

Open = Callable[..., Awaitable[Page]]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A Chromium of the test's own: the gateway runs in the loop of the test, and a browser cannot change loops."""
    async with launched() as browser:
        yield browser


@pytest.fixture
def watch() -> Watch:
    """Sees what the pages do; `watch.allow(gateway.url)` comes before the first visit."""
    return Watch()


@pytest.fixture
async def open_page(browser: Browser, watch: Watch) -> AsyncIterator[Open]:
    """Opens a page of another visitor; options are those of Playwright's `new_context`, e.g. java_script_enabled."""

    async def new(**options: Any) -> Page:
        return await new_page(browser, watch, **options)

    yield new
    # What they have still to tell comes before they are closed.
    for context in browser.contexts:
        await context.close()
    verdict = watch.verdict()
    assert not verdict, "\n".join(verdict)


@pytest.fixture
async def page(open_page: Open) -> Page:
    """A page of a visitor who is new here."""
    return await open_page()
