"""A gateway that is told to go by a new config.toml: real processes, and nobody who calls notices."""

import asyncio
import fcntl
import os
import pty
import signal
import socket
import sys
import termios
from collections import Counter
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from nijika.errors import CommandError
from nijika.ledger.verify import verify
from nijika.local import control
from tests.local.served import PATH, ROOT, call, command_of, customer, served, until, written
from tests.peers import answers, raw, streams
from tests.peers.upstream import Upstream

RELOADS = int(os.environ.get("NIJIKA_TEST_RELOADS", "3"))
ASK = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"

CLOSED = """
from contextlib import asynccontextmanager

from nijika.module import Plugin


class Closed(Plugin):
    def routes(self):
        return ()

    @asynccontextmanager
    async def lifespan(self, app):
        raise RuntimeError("no license for this machine")
        yield
"""


async def spent(database: str) -> int:
    connection = await asyncpg.connect(database)
    try:
        assert not any((await verify(connection)).values())
        total: int = await connection.fetchval("SELECT sum(spent) FROM accounts")
        return total
    finally:
        await connection.close()


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


async def is_refused(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/ready") as answer:
        told: str = (await answer.json())["configuration"]
        return told


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_call_in_flight_keeps_its_price_and_the_next_one_has_the_new_one(
    tmp_path: Path, database: str, upstream: Upstream, processes: int
) -> None:
    gate = asyncio.Event()
    upstream.plan("*", streams.gated(gate, answers.answer(200, b"cut-out")))
    fields = await customer(database)
    async with served(tmp_path, database, upstream.url, processes=processes) as gateway:
        before = gateway.children()
        in_flight = asyncio.create_task(call(gateway.url, fields))
        await upstream.request()
        change(gateway.file, 'price = "1"', 'price = "3"')

        status, said = await gateway.reload()
        assert (status, said) == (0, "The gateway goes by the new configuration.\n")
        assert len(gateway.children() - before) == processes
        next_one = asyncio.create_task(call(gateway.url, fields))
        await upstream.request()
        gate.set()

        assert (await in_flight, await next_one) == (200, 200)
        await until(lambda: not before & gateway.children())
    assert await spent(database) == 4_000_000


async def test_no_call_fails_and_each_is_paid_for_once_through_many_reloads(
    tmp_path: Path, database: str, upstream: Upstream
) -> None:
    """Also by number: NIJIKA_TEST_RELOADS=20."""
    upstream.plan(PATH, answers.answer(200, b"cut-out"))
    finish = asyncio.Event()
    upstream.plan(f"{PATH}/slow", streams.gated(finish, answers.answer(200, b"cut-out")))
    fields = await customer(database)
    seen: Counter[tuple[int, bytes]] = Counter()
    over = asyncio.Event()

    async def caller(session: aiohttp.ClientSession) -> None:
        while not over.is_set():
            async with session.post(PATH, data=b"p" * 5000, headers=fields) as answer:
                seen[answer.status, await answer.read()] += 1
            await asyncio.sleep(0.005)

    async with served(tmp_path, database, upstream.url) as gateway:
        change(gateway.file, f'path = "{PATH}"', f'path = "{PATH}/*"')
        change(gateway.file, "drain_seconds = 30", "drain_seconds = 600")  # the slow one outlives all reloads
        gateway.file.write_text(
            gateway.file.read_text() + f'[[routes]]\nuse = "proxy"\npath = "{PATH}"\nupstream = "worker"\nprice = "1"\n'
        )
        assert (await gateway.reload())[0] == 0
        async with aiohttp.ClientSession(gateway.url, connector=aiohttp.TCPConnector(limit=0)) as session:
            slow = asyncio.create_task(session.post(f"{PATH}/slow", data=b"p", headers=fields))
            await upstream.request()
            callers = [asyncio.create_task(caller(session)) for _ in range(16)]
            for _ in range(RELOADS):
                assert await gateway.reload() == (0, "The gateway goes by the new configuration.\n")
            over.set()
            await asyncio.gather(*callers)
            finish.set()
            answer = await slow
            assert (answer.status, await answer.read()) == (200, b"cut-out")

    assert set(seen) == {(200, b"cut-out")}
    assert await spent(database) == (seen.total() + 1) * 1_000_000


async def test_a_file_with_a_mistake_changes_nothing_and_is_told_of_everywhere(
    tmp_path: Path, database: str, upstream: Upstream
) -> None:
    upstream.plan("*", answers.answer(200, b"cut-out"))
    fields = await customer(database)
    async with served(tmp_path, database, upstream.url) as gateway:
        before = gateway.children()
        change(gateway.file, 'price = "1"', 'prize = "1"')

        status, said = await gateway.reload()

        assert status == 1
        assert "prize" in said
        assert "did you mean" in said.lower()
        assert said.endswith("The gateway goes on as before.\n")
        assert "reload refused" in gateway.log()
        assert "prize" in gateway.log()
        assert gateway.children() == before
        assert {await is_refused(gateway.url) for _ in range(10)} == {"refused"}
        assert await call(gateway.url, fields) == 200

        os.kill(min(before), signal.SIGKILL)
        await until(lambda: len(gateway.children()) == 2 and min(before) not in gateway.children())
        assert {await is_refused(gateway.url) for _ in range(10)} == {"refused"}

        change(gateway.file, 'prize = "1"', 'price = "1"')
        assert (await gateway.reload())[0] == 0
        await until(lambda: not before & gateway.children())
        assert {await is_refused(gateway.url) for _ in range(10)} == {"ok"}


@pytest.mark.parametrize(("old", "new"), [("processes = 1", "processes = 2"), ("port = 0", "port = 1")])
async def test_what_only_a_restart_can_change_is_refused_with_a_sentence(
    tmp_path: Path, database: str, upstream: Upstream, old: str, new: str
) -> None:
    async with served(tmp_path, database, upstream.url, processes=1) as gateway:
        change(gateway.file, old, new)

        status, said = await gateway.reload()

        assert status == 1
        assert "change with a restart, not with a reload" in said


async def test_the_database_may_be_another_one_from_now_on(tmp_path: Path, database: str, upstream: Upstream) -> None:
    async with served(tmp_path, database, upstream.url, processes=1) as gateway:
        before = gateway.children()
        change(gateway.file, database, "postgresql://127.0.0.1:1/nobody")

        status, said = await gateway.reload()

        assert status == 1
        assert "The database cannot be reached" in said
        assert gateway.children() == before


async def test_a_file_that_is_gone_changes_nothing(tmp_path: Path, database: str, upstream: Upstream) -> None:
    async with served(tmp_path, database, upstream.url, processes=1) as gateway:
        gateway.file.rename(tmp_path / "elsewhere")

        status, said = await gateway.reload()

        assert status == 1
        assert "config.toml cannot be read: No such file" in said


async def test_sighup_reloads_too(tmp_path: Path, database: str, upstream: Upstream) -> None:
    async with served(tmp_path, database, upstream.url, processes=1) as gateway:
        before = gateway.children()

        gateway.process.send_signal(signal.SIGHUP)

        await until(lambda: len(gateway.children()) == 1 and not before & gateway.children())


async def test_sighup_while_it_starts_ends_nothing_and_is_done_afterwards(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(written("embedded", "http://w", processes=1))
    command = (sys.executable, "-m", "nijika", "serve", "--config", str(tmp_path / "config.toml"))
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(60):
        assert (await process.stderr.readline()).startswith(b"Creating the database")

        process.send_signal(signal.SIGHUP)

        assert (await process.stdout.readline()).startswith(b"listening on")
        while b"reloaded" not in await process.stderr.readline():
            assert process.returncode is None
        process.terminate()
        await process.communicate()
        assert process.returncode == 0


async def test_more_connections_than_the_embedded_postgresql_has_are_refused_with_a_sentence(tmp_path: Path) -> None:
    async with served(tmp_path, "embedded", "http://w", processes=1) as gateway:
        change(gateway.file, "[database]\n", "[database]\nconnections_max = 20\n")
        assert (await gateway.reload())[0] == 0
        change(gateway.file, "connections_max = 20", "connections_max = 90")

        status, said = await gateway.reload()

        assert status == 1
        assert "a connections_max for which that one was not started, change with a restart" in said


async def test_what_a_plugin_says_when_it_cannot_be_opened_is_told_to_whoever_reloads(
    tmp_path: Path, database: str, upstream: Upstream
) -> None:
    (tmp_path / "closed_plugin.py").write_text(CLOSED)
    async with served(tmp_path, database, upstream.url, processes=1) as gateway:
        before = gateway.children()
        gateway.file.write_text(gateway.file.read_text() + '[[routes]]\nuse = "closed_plugin:Closed"\n')

        status, said = await gateway.reload()

        assert status == 1
        assert "A process cannot serve: RuntimeError: no license for this machine." in said
        assert "Traceback" in gateway.log()
        assert gateway.children() == before


async def test_a_gateway_that_ends_before_it_has_reloaded_is_told_of_as_such(tmp_path: Path) -> None:
    listening = socket.socket(socket.AF_UNIX)
    with listening, control._short(tmp_path) as folder:
        listening.bind(f"{folder}/{control.NAME}")
        listening.listen()
        asking = asyncio.create_task(asyncio.to_thread(control.ask, tmp_path))
        peer, _ = await asyncio.to_thread(listening.accept)
        peer.close()

        with pytest.raises(CommandError, match="ended before it had reloaded"):
            await asking


async def test_a_stop_in_the_middle_of_a_reload_leaves_nothing_behind(
    tmp_path: Path, database: str, upstream: Upstream
) -> None:
    async with served(tmp_path, database, upstream.url, processes=1) as gateway:
        before = gateway.children()
        gateway.process.send_signal(signal.SIGHUP)
        await until(lambda: len(gateway.children()) == 2)
        both = gateway.children()

        gateway.process.terminate()

        assert await gateway.end() == 0
        assert before < both
        assert not any(command_of(pid) for pid in both)


async def test_while_it_drains_each_answer_says_that_its_connection_ends(
    tmp_path: Path, database: str, upstream: Upstream
) -> None:
    """Else who sends its next request on a connection that is just closed would lose it."""
    gate = asyncio.Event()
    upstream.plan("*", streams.gated(gate, answers.answer(200, b"cut-out")))
    fields = await customer(database)
    async with served(tmp_path, database, upstream.url, processes=1) as gateway:
        async with raw.connect(gateway.url) as client:
            assert (await client.ask(ASK)).values("Connection") == []
            in_flight = asyncio.create_task(call(gateway.url, fields))
            await upstream.request()
            gateway.process.terminate()
            async with asyncio.timeout(30):
                while True:  # the signal is on its way
                    answer = await client.ask(ASK)
                    if answer.values("Connection") == ["close"]:
                        break
            assert answer.status == 200
            gate.set()
            assert await in_flight == 200


async def test_without_a_gateway_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(written("postgresql://h/x", "http://w"))
    command = (sys.executable, "-m", "nijika", "reload", "--config", str(tmp_path / "config.toml"))
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()

    assert process.returncode == 1
    assert said.decode().startswith(f"No gateway runs in {tmp_path / 'data'}.")


async def test_a_folder_with_a_long_name_is_no_hindrance_and_the_socket_is_its_owner_s_alone(tmp_path: Path) -> None:
    data = tmp_path / ("d" * 200)

    async def reload() -> str:
        return "as before"

    async with control.answering(data, reload):
        mode = (data / control.NAME).stat().st_mode & 0o777
        said = await asyncio.to_thread(control.ask, data)

    assert (said, mode) == ("as before", 0o600)
    assert not (data / control.NAME).exists()


async def test_a_second_gateway_of_one_folder_leaves_the_socket_to_the_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def first() -> str:
        return "first"

    async def second() -> str:
        return "second"

    async with control.answering(tmp_path, first):
        async with control.answering(tmp_path, second):
            assert "another gateway answers" in caplog.text
            assert await asyncio.to_thread(control.ask, tmp_path) == "first"
        assert await asyncio.to_thread(control.ask, tmp_path) == "first"


async def test_a_terminal_that_is_closed_ends_it(tmp_path: Path, database: str, upstream: Upstream) -> None:
    (tmp_path / "config.toml").write_text(written(database, upstream.url, processes=1))
    ours, theirs = pty.openpty()

    def adopt() -> None:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    command = (sys.executable, "-m", "nijika", "serve", "--config", str(tmp_path / "config.toml"))
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, preexec_fn=adopt
    )
    os.close(theirs)
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert (await process.stdout.readline()).startswith(b"listening on ")

        os.close(ours)

        assert await process.wait() == 0
