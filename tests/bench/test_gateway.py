"""The bench of gateways, run for a moment: that its tables are whole and its checks check, never how fast anything is."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from bench.gateway.contenders.nijika.books import Ledger
from bench.gateway.programs import Unavailable, debian
from bench.gateway.serving import filled
from tests.gateway import Customer, Gateway
from tests.peers import answers
from tests.peers.upstream import Upstream
from tests.providers.lacking import lack

EVERYBODY = ("postgres", "bench.gateway.upstream", "bare.proxy", "nijika serve")
ROOT = Path(__file__).parents[2]
SHORT = ("--rounds", "1", "--seconds", "1", "--only", "nijika-priced", "--connections", "4", "--scenario", "small")


def test_a_short_run_has_all_rows_and_leaves_nothing_behind(tmp_path: Path) -> None:
    if shutil.which("wrk") is None:
        lack("wrk")
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "bench.gateway", *SHORT, "--json", str(file)]

    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(file.read_text())
    assert told["lacking"] == {}
    assert told["wrong"] == []
    rows = told["tables"][0]["rows"]
    assert [row["contender"] for row in rows] == ["direct", "bare", "nijika-priced"]
    assert all(row["rounds"][0]["answers"] > 0 for row in rows)
    assert all(f"| {row['contender']} |" in done.stdout for row in rows)
    assert _processes(tmp_path) == []
    assert list(tmp_path.iterdir()) == [file]


def test_a_bench_that_is_killed_takes_everybody_with_it(tmp_path: Path) -> None:
    if shutil.which("wrk") is None:
        lack("wrk")
    command = [sys.executable, "-m", "bench.gateway", *SHORT]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as bench:
        _wait_for(lambda: all(any(name in line for line in _processes(tmp_path)) for name in EVERYBODY))

        bench.kill()

    _wait_for(lambda: _processes(tmp_path) == [])


async def test_a_charge_too_many_and_one_too_few_are_found(
    gateway: Gateway, customer: Customer, upstream: Upstream, database: str
) -> None:
    books = Ledger(database, Path("config.toml"), is_priced=True)
    await asyncio.to_thread(books.mark)
    for _ in range(3):
        upstream.plan("/v1/cutout", answers.answer(200, b"done"))
        async with gateway.session.post("/api/removebg", headers=customer.fields, data=b"x") as answer:
            assert answer.status == 200
    await asyncio.to_thread(books.settle)

    async def audit(answered: int, under_way: int) -> list[str]:
        return await asyncio.to_thread(books.audit, answered, under_way)

    assert await audit(3, 0) == []
    assert await audit(2, 1) == []
    assert await audit(2, 0) == ["2 answers came, and 3 calls were charged"]
    assert await audit(4, 9) == ["4 answers came, and 3 calls were charged"]


def test_what_is_not_installed_is_said_in_a_sentence() -> None:
    with pytest.raises(Unavailable, match=r"no envoy-of-nobody here\. On Debian and Ubuntu: apt-get install x"):
        debian("envoy-of-nobody", "x")


def test_a_configuration_is_filled_in_and_keeps_its_own_signs(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    template = tmp_path / "in" / "envoy.yaml"
    template.write_text('"@type": type.googleapis.com/x\nport: @{port}\nhome: @{folder}\n$http_x {block}')

    file = filled(template, tmp_path, port=80)

    assert file.read_text() == f'"@type": type.googleapis.com/x\nport: 80\nhome: {tmp_path}\n$http_x {{block}}'


def _processes(folder: Path) -> list[str]:
    """The command lines of all that were started with this folder for their files, or stand in it."""
    return [line for line in map(partial(_line, folder=str(folder)), Path("/proc").glob("[0-9]*")) if line]


def _line(process: Path, folder: str) -> str:
    with suppress(OSError):  # it has ended meanwhile
        if folder.encode() in (process / "environ").read_bytes() or folder in str((process / "cwd").readlink()):
            return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def _wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
