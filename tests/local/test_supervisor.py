"""`nijika serve` with several processes: real ones, real signals, one port, one account."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import aiohttp
import asyncpg
import pytest
from yarl import URL

from nijika.config import load
from nijika.errors import ConfigError
from nijika.ledger.verify import verify
from nijika.local import control, generation, supervisor
from nijika.local.process import Fixed, Orders
from nijika.server import bind, shared
from tests.local.served import PATH, ROOT, SECRET, call, command_of, customer, served, until, until_refused, written
from tests.peers import answers, streams
from tests.peers.upstream import Upstream

FAKE = """
import os, pathlib, socket, sys
place = pathlib.Path(__file__).parent
number, line = map(int, sys.argv[-2:])
was_here = place / f"socket{number}"
if was_here.exists() and not (place / "let").exists():
    (place / "failed").touch()
    sys.exit(3)
was_here.touch()
sock = socket.socket(fileno=number)
sock.listen()
socket.socket(fileno=line).sendall(b'{"ready": 1}\\n')
while True:
    peer, _ = sock.accept()
    peer.sendall(str(os.getpid()).encode())
    peer.close()
"""

EXCHANGED = """
import json, os, pathlib, socket, sys, time
place = pathlib.Path(__file__).parent
number, line = map(int, sys.argv[-2:])
talk = socket.socket(fileno=line)
text = json.loads(talk.makefile().readline())["text"]
count = len(list(place.glob(f"{text}-*")))
(place / f"{text}-{os.getpid()}").touch()
if text == "old" and count >= 2:
    sys.exit(3)
while text == "new" and count == 1 and not (place / "go").exists():
    time.sleep(0.01)
sock = socket.socket(fileno=number)
sock.listen()
talk.sendall(b'{"ready": 1}\\n')
while True:
    try:
        peer, _ = sock.accept()
    except OSError:
        time.sleep(3600)  # a server does not end by that
    peer.sendall(str(os.getpid()).encode())
    peer.close()
"""


async def test_calls_are_spread_over_the_processes_and_paid_for_exactly(
    tmp_path: Path, database: str, upstream: Upstream
) -> None:
    upstream.plan("*", answers.answer(200, b"cut-out"))
    fields = await customer(database)
    async with served(tmp_path, database, upstream.url) as gateway:
        statuses = await asyncio.gather(*(call(gateway.url, fields) for _ in range(60)))
        assert len(gateway.children()) == 2
    connection = await asyncpg.connect(database)
    owners = await connection.fetchval("SELECT count(DISTINCT owner) FROM charges")
    spent = await connection.fetchval("SELECT sum(spent) FROM accounts")
    violations = {name: count for name, count in (await verify(connection)).items() if count}
    await connection.close()

    assert set(statuses) == {200}
    assert (owners, spent, violations) == (2, 60_000_000, {})


async def test_one_that_is_killed_is_started_again_and_who_calls_meanwhile_is_served(
    tmp_path: Path, database: str, upstream: Upstream
) -> None:
    upstream.plan("*", answers.answer(200, b"cut-out"))
    fields = await customer(database)
    async with served(tmp_path, database, upstream.url) as gateway:
        before = gateway.children()
        killed = min(before)

        os.kill(killed, signal.SIGKILL)
        statuses = await asyncio.gather(*(call(gateway.url, fields) for _ in range(20)))
        await until(lambda: len(gateway.children()) == 2)

        assert set(statuses) == {200}
        assert killed not in gateway.children()
        assert len(before & gateway.children()) == 1


async def test_told_to_stop_all_of_them_let_open_calls_end(tmp_path: Path, database: str, upstream: Upstream) -> None:
    gate = asyncio.Event()
    upstream.plan("*", streams.gated(gate, answers.answer(200, b"cut-out")))
    fields = await customer(database)
    async with served(tmp_path, database, upstream.url) as gateway:
        children = gateway.children()
        calls = [asyncio.create_task(call(gateway.url, fields)) for _ in range(8)]
        await until(lambda: len(upstream.seen) == 8)

        gateway.process.terminate()
        await until_refused(gateway.url)
        gate.set()
        statuses = await asyncio.gather(*calls)

        assert await gateway.end() == 0
        assert statuses == [200] * 8
        assert not any(command_of(pid) for pid in children)


async def test_none_of_them_outlives_a_supervisor_that_was_killed(
    tmp_path: Path, database: str, upstream: Upstream
) -> None:
    async with served(tmp_path, database, upstream.url) as gateway:
        children = gateway.children()

        gateway.process.kill()
        await gateway.end()

        await until(lambda: not any(b"nijika.local.process" in command_of(pid) for pid in children))


async def test_the_next_one_begins_on_the_port_of_the_last_one(
    tmp_path: Path, database: str, upstream: Upstream
) -> None:
    upstream.plan("*", answers.answer(200, b"cut-out"))
    fields = await customer(database)
    async with served(tmp_path, database, upstream.url) as gateway:
        async with aiohttp.ClientSession() as session:
            async with session.post(gateway.url + PATH, data=b"p", headers=fields) as answer:
                await answer.read()
            port = URL(gateway.url).port
            gateway.process.terminate()  # while the connection is kept alive, so that it is closed from there
            assert await gateway.end() == 0
    assert port

    async with served(tmp_path, database, upstream.url, port=port) as again:
        assert await call(again.url, fields) == 200


async def test_all_of_them_go_by_the_text_that_the_first_ones_had(
    tmp_path: Path, database: str, upstream: Upstream
) -> None:
    upstream.plan("*", answers.answer(200, b"cut-out"))
    fields = await customer(database)
    async with served(tmp_path, database, upstream.url) as gateway:
        (tmp_path / "config.toml").write_text("no TOML at all")
        killed = min(gateway.children())

        os.kill(killed, signal.SIGKILL)
        await until(lambda: len(gateway.children()) == 2 and killed not in gateway.children())
        statuses = await asyncio.gather(*(call(gateway.url, fields) for _ in range(20)))

    assert set(statuses) == {200}


async def test_where_one_cannot_be_started_again_the_others_get_its_callers_until_it_can(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a stand-in for what is started: one that listens once, then fails until it is let, then listens again."""
    program = tmp_path / "fake"
    program.write_text(f"#!{sys.executable}\n{FAKE}")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(generation, "PAUSE_SECONDS_MAX", 0.1)
    orders = Orders(tmp_path / "config.toml", "", tmp_path, "", Fixed("127.0.0.1", 0, 2, is_embedded=False))
    ready = asyncio.Event()
    with shared("127.0.0.1", 0, 2) as sockets:
        place = sockets[0].getsockname()
        supervising = asyncio.create_task(supervisor.supervise(orders, sockets, ready.set))
        await asyncio.wait_for(ready.wait(), 30)
        killed, living = sorted(await _pids(place, 2))
        os.kill(killed, signal.SIGKILL)
        await until((tmp_path / "failed").exists)

        assert await _pids(place, 1, calls=40) == {living}

        (tmp_path / "let").touch()
        assert len(await _pids(place, 2)) == 2
        supervising.cancel()
        await asyncio.wait([supervising])


async def test_one_that_hangs_when_it_is_started_again_is_ended_and_another_one_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "fake"
    hanging = FAKE.replace("sys.exit(3)", "signal.pause()").replace("import os", "import signal, os")
    program.write_text(f"#!{sys.executable}\n{hanging}")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(generation, "START_SECONDS", 1.0)
    orders = Orders(tmp_path / "config.toml", "", tmp_path, "", Fixed("127.0.0.1", 0, 1, is_embedded=False))
    ready = asyncio.Event()
    with shared("127.0.0.1", 0, 1) as sockets:
        supervising = asyncio.create_task(supervisor.supervise(orders, sockets, ready.set))
        await asyncio.wait_for(ready.wait(), 30)
        (killed,) = await _pids(sockets[0].getsockname(), 1)
        os.kill(killed, signal.SIGKILL)
        await until((tmp_path / "failed").exists)  # and hangs

        (tmp_path / "let").touch()

        async with asyncio.timeout(30):
            while True:
                with suppress(ConnectionRefusedError):
                    assert await _pids(sockets[0].getsockname(), 1) != {killed}
                    break
                await asyncio.sleep(0.05)
        supervising.cancel()
        await asyncio.wait([supervising])


async def test_a_process_that_cannot_be_started_again_closes_no_socket_on_which_its_successor_serves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a stand-in: a reload is what mends a gateway of which one process does not come up any more."""
    program, config = tmp_path / "fake", tmp_path / "config.toml"
    program.write_text(f"#!{sys.executable}\n{EXCHANGED}")
    program.chmod(0o755)
    config.write_text("new")
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(generation, "PAUSE_SECONDS_MAX", 0.1)

    def started(text: str) -> int:
        return len(list(tmp_path.glob(f"{text}-*")))

    orders = Orders(config, "old", tmp_path, "", Fixed("127.0.0.1", 0, 2, is_embedded=False))
    ready = asyncio.Event()
    with shared("127.0.0.1", 0, 2) as sockets:
        place = sockets[0].getsockname()
        supervising = asyncio.create_task(supervisor.supervise(orders, sockets, ready.set))
        await asyncio.wait_for(ready.wait(), 30)
        for pid in await _pids(place, 2):
            os.kill(pid, signal.SIGKILL)
        reloading = asyncio.create_task(asyncio.to_thread(control.ask, tmp_path))
        await until(lambda: started("new") == 2)  # one of them serves already
        before = started("old")
        await until(lambda: started("old") > before + 4)

        (tmp_path / "go").touch()
        assert await reloading == ""

        assert len(await _pids(place, 2)) == 2
        supervising.cancel()
        await asyncio.wait([supervising])


async def _pids(place: tuple[str, int], count: int, calls: int = 0) -> set[int]:
    """Who answers, until so many have; at least `calls` are made."""
    found: set[int] = set()
    async with asyncio.timeout(30):
        while len(found) < count or calls > 0:
            reader, writer = await asyncio.open_connection(*place)
            with suppress(ConnectionError):  # it was given to a socket that has been closed to callers since
                found.add(int(await reader.read(16)))
                calls -= 1
            writer.close()
            await asyncio.sleep(0.005)
    return found


async def test_a_port_that_is_taken_is_a_sentence_also_where_it_could_be_shared(tmp_path: Path) -> None:
    with bind("127.0.0.1", 0, shares=True) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        text = written("postgresql://127.0.0.1:1/x", "http://w", port=port)
        (tmp_path / "config.toml").write_text(text)
        status, said = await _run(tmp_path)

    assert status == 1
    assert f"nijika cannot listen on 127.0.0.1:{port}" in said


async def test_where_none_can_start_the_gateway_ends_and_has_said_why(tmp_path: Path) -> None:
    text = written("postgresql://127.0.0.1:1/x", "http://w")
    (tmp_path / "config.toml").write_text(text)

    status, said = await _run(tmp_path)

    assert status == 1
    assert "The database cannot be reached" in said


async def test_what_a_process_is_told_stands_in_no_command_line_and_no_environment(
    tmp_path: Path, database: str, upstream: Upstream
) -> None:
    async with served(tmp_path, database, upstream.url) as gateway:
        children = gateway.children()
        public = [_public(pid) for pid in children]

    assert len(public) == 2
    assert not any(b"postgres" in text or SECRET.encode() in text for text in public)


def _public(pid: int) -> bytes:
    """What others of this machine, or at least of this user, can read of a process."""
    return command_of(pid) + Path(f"/proc/{pid}/environ").read_bytes()


async def _run(directory: Path) -> tuple[int, str]:
    command = (sys.executable, "-m", "nijika", "serve", "--config", str(directory / "config.toml"))
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


@pytest.mark.parametrize("processes", ["0", "65", '"two"', "1.5"])
def test_a_number_of_processes_that_cannot_be_is_a_mistake(tmp_path: Path, processes: str) -> None:
    text = written("postgresql://h/x", "http://w")
    (tmp_path / "config.toml").write_text(text.replace("processes = 2", f"processes = {processes}"))

    with pytest.raises(ConfigError, match="processes"):
        load(tmp_path / "config.toml")
