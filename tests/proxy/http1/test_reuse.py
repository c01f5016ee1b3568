"""A connection is used again while it is certain that nothing of the last exchange is left on it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from nijika.proxy.http1 import pool as pools
from nijika.proxy.http1.connection import Connection
from nijika.proxy.http1.failures import Broken
from tests.peers.patience import within
from tests.proxy.http1.worker import OK, Line, Made, Pieces, asked, asking, body, saying


async def test_calls_one_after_the_other_share_a_connection() -> None:
    async with asking(saying(OK, OK, OK)) as (pool, worker):
        assert [await asked(pool) for _ in range(3)] == [(200, b"ok")] * 3

        assert len(worker.lines) == 1


async def test_calls_at_once_have_a_connection_each_and_the_last_used_is_used_next() -> None:
    gate = asyncio.Event()

    async def talk(line: Line) -> None:
        await line.request()
        if line.number == 0:
            await gate.wait()
        await line.say(OK)
        if line.number == 0:
            await line.request()
            await line.say(OK)
        await line.ended()

    async with asking(talk) as (pool, worker):
        first = asyncio.create_task(asked(pool))
        async with within("the first call"):
            while not worker.lines:
                await asyncio.sleep(0.001)
        await asked(pool)
        gate.set()
        await first
        await asked(pool)

        assert len(worker.lines) == 2


async def test_a_kept_connection_that_the_worker_closes_is_noticed_and_replaced() -> None:
    closed = asyncio.Event()

    async def talk(line: Line) -> None:
        await line.request()
        await line.say(OK)
        if line.number == 0:
            line.writer.close()
            await line.writer.wait_closed()
            closed.set()
        else:
            await line.ended()

    async with asking(talk) as (pool, worker):
        await asked(pool)
        async with within("the worker to close"):
            await closed.wait()

        assert await asked(pool, "POST") == (200, b"ok"), "no matter whether the loop has read the end yet"
        assert len(worker.lines) == 2


@pytest.mark.parametrize("stray", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"\r\n", b"x"])
async def test_what_comes_on_an_idle_connection_reaches_nobody_and_ends_it(stray: bytes) -> None:
    said = asyncio.Event()

    async def talk(line: Line) -> None:
        await line.request()
        await line.say(OK)
        if line.number == 0:
            await asyncio.sleep(0.05)  # not in one segment with the answer
            await line.say(stray)
            said.set()
        assert await line.ended() == b""

    async with asking(talk) as (pool, worker):
        await asked(pool)
        async with within("the stray bytes"):
            await said.wait()

        assert await asked(pool) == (200, b"ok")
        assert len(worker.lines) == 2


async def test_what_was_sent_is_not_sent_again() -> None:
    """Neither on a fresh connection nor on a kept one, be the method as harmless as it may."""

    async def talk(line: Line) -> None:
        await line.request()
        await line.say(OK)
        await line.request()

    async with asking(talk) as (pool, worker):
        for method in ("GET", "POST"):
            await asked(pool, method)
            with pytest.raises(Broken):
                await asked(pool, method)

        assert len(worker.lines) == 2


async def test_an_idle_connection_is_closed_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "KEEP_ALIVE_SECONDS", 0.01)

    async with asking(saying(OK)) as (pool, worker):
        await asked(pool)
        await worker.finish()  # it waits for the end of the connection

        assert len(worker.lines) == 1


async def test_a_connection_whose_answer_is_not_read_is_used_by_nobody_else() -> None:
    async def talk(line: Line) -> None:
        await line.request()
        await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok" if line.number == 0 else OK)
        assert await line.ended() == b""

    async with asking(talk) as (pool, worker):
        answer = await pool.ask("GET", "/", {})
        answer.close()

        assert await asked(pool) == (200, b"ok")
        assert len(worker.lines) == 2


async def test_a_cancelled_call_ends_its_connection() -> None:
    asked_for = asyncio.Event()

    async def talk(line: Line) -> None:
        await line.request()
        asked_for.set()
        assert await line.ended() == b"body"

    async with asking(talk) as (pool, worker):
        call = asyncio.create_task(pool.ask("POST", "/", {"Content-Length": "8"}, Pieces(b"body")))
        async with within("the request"):
            await asked_for.wait()
        call.cancel()
        with pytest.raises((asyncio.CancelledError, Broken)):
            await call
        await worker.finish()


async def test_a_call_that_is_cancelled_just_when_it_is_connected_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pool would wait for the end of its connection, and the gateway for that of the pool."""
    made = Connection.connection_made

    def connection_made(self: Connection, transport: asyncio.BaseTransport) -> None:
        made(self, transport)
        call.cancel()

    monkeypatch.setattr(Connection, "connection_made", connection_made)

    async def talk(line: Line) -> None:
        assert await line.ended() == b""

    async with asking(talk) as (pool, worker):
        call = asyncio.create_task(pool.ask("GET", "/", {}))
        with pytest.raises(asyncio.CancelledError):
            await call
        await worker.finish()
        assert len(worker.lines) == 1
        left = len(pool._open)
        pool._open.clear()  # of these the pool would wait for the end
        assert left == 0


async def test_nothing_stays_open_when_the_pool_is_closed() -> None:
    async with asking(saying(OK, b"")) as (pool, worker):
        await asked(pool)
        hanging = asyncio.create_task(asked(pool))
        async with within("the second request"):
            await asyncio.sleep(0)
            while hanging.done() or len(worker.lines) < 1:
                await asyncio.sleep(0.001)
        await pool.close()

        with pytest.raises(Broken):
            await hanging
        await worker.finish()


async def test_an_answer_that_is_complete_before_its_request_ends_the_connection() -> None:
    async def talk(line: Line) -> None:
        await line.request()
        await line.say(OK)
        await line.ended()

    async def endless() -> AsyncIterator[bytes]:
        yield b"some"
        await asyncio.Event().wait()

    async with asking(talk) as (pool, worker):
        answer = await pool.ask("POST", "/", {}, Made(endless))
        assert await body(answer) == b"ok"

        assert await asked(pool) == (200, b"ok")
        assert len(worker.lines) == 2
        answer.close()
