"""Everything here holds on both loops: asyncio's own, and the one that `nijika serve` runs on."""

import asyncio
from collections.abc import Callable

import uvloop

Loop = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories() -> dict[str, Loop]:
    """Each test runs once on each."""
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}
