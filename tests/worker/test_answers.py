"""An answer goes out as it is read: whoever does not read is cut off."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from worker import answers
from worker.cutout import File
from worker.studio import Done

BODY = bytes(range(256)) * 2**17  # 32 MiB: more than the buffers of the system hold
DONE = Done(File(BODY, "png", 4, 5), "engine", 20, {"decode": 0.001})


@pytest.fixture
async def sent() -> list[web.StreamResponse]:
    """What has been answered, to its end or not."""
    return []


@pytest.fixture
async def url(sent: list[web.StreamResponse]) -> AsyncIterator[str]:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = await answers.send(request, DONE, None)
        sent.append(response)
        return response

    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def unread(url: str) -> socket.socket:
    """A call whose answer nobody reads."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, (host, int(port)))
    await loop.sock_sendall(connection, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    return connection


async def rest(connection: socket.socket) -> int:
    """How much comes until the other side closes."""
    received = 0
    with connection, contextlib.suppress(ConnectionResetError):
        while piece := await asyncio.get_running_loop().sock_recv(connection, 2**20):
            received += len(piece)
    return received


async def test_an_answer_is_whole_and_says_how_long_it_is(url: str, http: aiohttp.ClientSession) -> None:
    for _ in range(2):  # the second one on the same connection
        answer = await http.get(url)

        assert await answer.read() == BODY
        assert answer.headers["Content-Length"] == str(len(BODY))
        assert answer.headers["X-Width"] == "4"


async def test_an_answer_that_nobody_reads_is_given_up(
    url: str, sent: list[web.StreamResponse], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "IDLE_SECONDS", 0.1)
    connection = await unread(url)

    async with asyncio.timeout(10):
        while not sent:
            await asyncio.sleep(0.01)
        received = await rest(connection)

    assert received < len(BODY)


async def test_an_answer_that_is_read_too_slowly_is_given_up(
    url: str, sent: list[web.StreamResponse], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "WRITE_SECONDS", 0.3)
    connection = await unread(url)

    async with asyncio.timeout(10):
        while not sent:
            await asyncio.get_running_loop().sock_recv(connection, 1024)
            await asyncio.sleep(0.01)
        received = await rest(connection)

    assert received < len(BODY)


async def test_a_caller_who_hangs_up_while_he_is_answered_is_no_failure(
    url: str, sent: list[web.StreamResponse], caplog: pytest.LogCaptureFixture
) -> None:
    connection = await unread(url)
    await asyncio.get_running_loop().sock_recv(connection, 1024)
    connection.close()

    async with asyncio.timeout(10):
        while not sent:
            await asyncio.sleep(0.01)

    assert not caplog.records
