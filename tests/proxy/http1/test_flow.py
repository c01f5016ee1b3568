"""Neither side is sent more than it takes, and neither waits for the other where it need not."""

import asyncio
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from nijika.proxy.http1.connection import Connection
from nijika.proxy.http1.exchange import Exchange
from nijika.proxy.http1.failures import Broken
from nijika.proxy.http1.inflow import WAITING_BYTES_MAX
from nijika.proxy.http1.pool import Pool
from nijika.proxy.http1.request import Written
from tests.peers.patience import within
from tests.proxy.http1.wire import Transport
from tests.proxy.http1.worker import OK, Line, Made, Pieces, asking, body

BLOCK = bytes(65_536)
LARGE = 64 * 2**20
ON_THE_WAY_MAX = 12 * 2**20
"""Far less than LARGE, and more than what the kernel keeps of a connection on both of its ends."""

REQUEST = Written("POST", "http://x/", b"", None)


@pytest.fixture
async def line() -> AsyncIterator[tuple[Connection, Transport]]:
    """A connection without a network."""
    ours, theirs = socket.socketpair()
    connection, transport = Connection(set()), Transport(ours)
    connection.connection_made(transport)
    yield connection, transport
    connection.connection_lost(None)
    ours.close()
    theirs.close()


async def test_a_small_body_goes_out_together_with_its_head(line: tuple[Connection, Transport]) -> None:
    connection, transport = line
    exchange = Exchange(connection, Written("POST", "http://x/", b"head ", 4), lambda _: None)

    beginning = asyncio.create_task(exchange.begin(Pieces(b"body", is_here=True)))
    await asyncio.sleep(0)
    exchange.lost()

    with pytest.raises(Broken):
        await beginning
    assert transport.written == [b"head body"]


async def test_a_body_of_nothing_leaves_its_head_alone(line: tuple[Connection, Transport]) -> None:
    connection, transport = line
    exchange = Exchange(connection, Written("POST", "http://x/", b"head ", 0), lambda _: None)

    beginning = asyncio.create_task(exchange.begin(Pieces(is_here=True)))
    await asyncio.sleep(0)
    exchange.lost()

    with pytest.raises(Broken):
        await beginning
    assert transport.written == [b"head "]


async def test_a_reader_that_does_not_read_stops_the_socket(line: tuple[Connection, Transport]) -> None:
    connection, transport = line
    exchange = Exchange(connection, REQUEST, lambda _: None)
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
    given = 0
    while not transport.is_reading_paused and given < LARGE:
        connection.data_received(BLOCK[:1000])
        given += 1000

    assert WAITING_BYTES_MAX <= given < WAITING_BYTES_MAX + 1000
    assert len(await exchange.content.readany()) == given
    assert not transport.is_reading_paused


async def test_a_connection_that_is_used_again_is_read_again(line: tuple[Connection, Transport]) -> None:
    connection, transport = line
    free: list[Connection] = []
    exchange = Exchange(connection, REQUEST, free.append)
    beginning = asyncio.create_task(exchange.begin(None))
    await asyncio.sleep(0)
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * len(BLOCK)))
    connection.data_received(2 * BLOCK)
    await beginning

    assert free == [connection]
    assert not transport.is_reading_paused
    transport.pause_reading()  # as the next exchange might
    assert len(exchange.content.take()) == 2 * len(BLOCK)
    assert transport.is_reading_paused, "whoever reads late has no more say"


async def test_a_worker_that_does_not_read_is_sent_no_more(line: tuple[Connection, Transport]) -> None:
    connection, _ = line
    given = 0

    async def upload() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(3):
            given += 1
            yield BLOCK

    exchange = Exchange(connection, REQUEST, lambda _: None)
    connection.pause_writing()
    beginning = asyncio.create_task(exchange.begin(Made(upload)))
    for _ in range(10):
        await asyncio.sleep(0)
    assert given == 1

    connection.resume_writing()
    for _ in range(10):
        await asyncio.sleep(0)
    assert given == 3
    exchange.close()
    beginning.cancel()


async def test_a_slow_reader_bounds_what_is_on_the_way() -> None:
    sent = 0

    async def talk(line: Line) -> None:
        nonlocal sent
        await line.request()
        await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
        while sent < LARGE:
            await line.say(BLOCK)
            sent += len(BLOCK)
        await line.ended()

    async with asking(talk) as (pool, _):
        answer = await pool.ask("GET", "/", {})
        came, most = 0, 0
        async with within("all of it"):
            while piece := await answer.content.readany():
                came += len(piece)
                most = max(most, sent - came)
                await asyncio.sleep(0)
        answer.close()

    assert came == LARGE
    assert most < ON_THE_WAY_MAX


async def test_a_worker_that_reads_slowly_bounds_what_is_on_the_way() -> None:
    came, most, given = 0, 0, 0

    async def talk(line: Line) -> None:
        nonlocal came, most
        await line.request()
        while came < LARGE:
            came += len(await line.reader.read(len(BLOCK)))
            most = max(most, given - came)
        await line.say(OK)
        await line.ended()

    async def upload() -> AsyncIterator[bytes]:
        nonlocal given
        while given < LARGE:
            given += len(BLOCK)
            yield BLOCK

    async with asking(talk) as (pool, _):
        answer = await pool.ask("POST", "/", {"Content-Length": str(LARGE)}, Made(upload))
        assert await body(answer) == b"ok"
        answer.close()

    assert most < ON_THE_WAY_MAX


async def test_an_early_answer_stops_no_request_but_its_connection_is_not_used_again() -> None:
    more = asyncio.Event()

    async def talk(line: Line) -> None:
        await line.request()
        await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        assert await line.reader.readexactly(9) == b"4\r\nhalf\r\n"
        await line.say(b"early")
        assert await line.ended() == b"4\r\nmore\r\n0\r\n\r\n"

    async def upload() -> AsyncIterator[bytes]:
        yield b"half"
        await more.wait()
        yield b"more"

    async with asking(talk) as (pool, worker):
        answer = await pool.ask("POST", "/", {}, Made(upload))
        assert await body(answer) == b"early"
        more.set()
        await worker.finish()
        answer.close()


async def test_the_answer_of_a_worker_that_refuses_an_upload_and_hangs_up_is_heard() -> None:
    """Its reset comes before the next piece is written, while the loop is busy elsewhere."""

    def refuse(server: socket.socket) -> None:
        with server.accept()[0] as line:
            line.recv(1)
            line.sendall(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")

    async def upload() -> AsyncIterator[bytes]:
        yield BLOCK
        refusal.result(timeout=10)
        while True:
            yield BLOCK

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as beside:
        refusal = beside.submit(refuse, server)
        pool = Pool(f"http://127.0.0.1:{server.getsockname()[1]}", connect_seconds=5)
        async with within("the refusal"):
            answer = await pool.ask("POST", "/", {}, Made(upload))
        assert (answer.status, await body(answer)) == (413, b"no")
        answer.close()
        await pool.close()


@pytest.mark.parametrize("with_reset", [False, True])
async def test_a_worker_that_closes_amid_the_request_has_broken_off(with_reset: bool) -> None:
    async def talk(line: Line) -> None:
        await line.request()
        if with_reset:
            line.reset()

    async def upload() -> AsyncIterator[bytes]:
        while True:
            yield BLOCK

    async with asking(talk) as (pool, _):
        async with within("the failure"):
            with pytest.raises((Broken, ConnectionError)):
                await pool.ask("POST", "/", {}, Made(upload))


async def test_a_body_that_breaks_breaks_the_exchange_and_is_not_ended() -> None:
    async def talk(line: Line) -> None:
        await line.request()
        assert await line.ended() == b"4\r\nhalf\r\n"

    async def upload() -> AsyncIterator[bytes]:
        yield b"half"
        await asyncio.sleep(0.01)  # the half goes out
        raise LookupError("gone")

    async with asking(talk) as (pool, worker):
        with pytest.raises(Broken, match="gone"):
            await pool.ask("POST", "/", {}, Made(upload))
        await worker.finish()


@pytest.mark.parametrize("parts", [(b"abcd",), (b"ab", b"cd"), (b"a",), ()])
async def test_a_body_of_another_length_than_it_was_said_is_not_sent_whole(parts: tuple[bytes, ...]) -> None:
    async def talk(line: Line) -> None:
        await line.request()
        assert len(await line.ended()) < 3

    async with asking(talk) as (pool, worker):
        with pytest.raises(Broken, match="another length"):
            await pool.ask("POST", "/", {"Content-Length": "3"}, Pieces(*parts))
        await worker.finish()
