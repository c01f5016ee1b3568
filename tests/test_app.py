"""What the application opens, and that all of it is closed."""

import asyncio

import pytest

from nijika import app


async def test_work_whose_cancellation_gets_lost_is_cancelled_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "CANCEL_SECONDS", 0.01)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            begun.clear()  # as where a broken connection raises its own error in place of this one
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with asyncio.timeout(10):
        async with app._running(work()):
            await begun.wait()

    assert ended.is_set()
