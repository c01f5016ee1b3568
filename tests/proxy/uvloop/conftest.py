"""Every test of this folder, whoever wrote it, runs on uvloop."""

import asyncio
from collections.abc import Callable

import uvloop

Loop = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories() -> dict[str, Loop]:
    """No other."""
    return {"uvloop": uvloop.new_event_loop}
