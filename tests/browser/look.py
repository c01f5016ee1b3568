"""How a page looks on a phone and on a desktop, by day and by night, and what axe-core finds wrong with it."""

import functools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

from playwright.async_api import Page, ViewportSize

from tests.providers.lacking import lack

ROOT = Path(__file__).parents[2]
SCREENS = ROOT / "build" / "screens"
AXE = ROOT / "tests" / "npm" / "node_modules" / "axe-core" / "axe.min.js"

SIZES: dict[str, ViewportSize] = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 900}}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

RUN = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations.flatMap(
    ({id, impact, help, nodes}) => nodes.map(({target, html}) => ({id, impact, help, target: target.join(" "), html})))"""


async def screenshot(page: Page, name: str) -> None:
    """Saves the whole page as `build/screens/NAME-{phone,desktop}-{light,dark}.png`."""
    async for look in looks(page):
        await page.screenshot(path=SCREENS / f"{name}-{look}.png", full_page=True, animations="disabled")


async def axe(page: Page) -> list[str]:
    """What axe finds wrong with the page as it is now, each with rule, impact, element and help."""
    await page.evaluate(_source())
    return ["{impact} {id} at {target}: {help} ({html})".format(**found) for found in await page.evaluate(RUN)]


async def axe_everywhere(page: Page) -> list[str]:
    """What axe finds wrong in any of the four looks."""
    return [f"{look}: {violation}" async for look in looks(page) for violation in await axe(page)]


async def looks(page: Page) -> AsyncIterator[str]:
    """Gives the page its four looks, one after the other, by their names; in the end it is as it was."""
    before = page.viewport_size
    for size, viewport in SIZES.items():
        await page.set_viewport_size(viewport)
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            yield f"{size}-{scheme}"
    await page.emulate_media(color_scheme="null")
    if before:
        await page.set_viewport_size(before)


@functools.cache
def _source() -> str:
    if not AXE.exists():
        lack("axe-core is not installed; make test does it, given npm.")
    return AXE.read_text()
