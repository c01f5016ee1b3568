"""A Chromium that meets nothing but this machine, with pages that are watched."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from tests.browser.watch import Watch
from tests.providers import lacking

ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A page that asks a stranger gets the same answer everywhere: there is nobody.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
DESKTOP = {"width": 1280, "height": 900}


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """A browser, for as long as the block runs; it belongs to the event loop that it was started in."""
    path = lacking.chromium()
    # Chromium's own sandbox refuses root.
    arguments = [*ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        await browser.close()


async def new_page(browser: Browser, watch: Watch, **options: Any) -> Page:
    """A page of a new visitor, without cookies; options are those of Playwright's `new_context`."""
    context = await browser.new_context(**({"viewport": DESKTOP, "locale": "en-GB"} | options))
    context.set_default_timeout(10_000)
    await watch.over(context)
    return await context.new_page()
