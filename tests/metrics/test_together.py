"""Numbers of several processes: real ones, which count into one folder, and end in their own ways."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nijika.errors import StartError
from nijika.metrics import together
from nijika.metrics.together import Folder
from tests.scrape import Scrape

ROOT = Path(__file__).parents[2]

COUNT = """
import sys
from nijika.metrics import exposition, money, process, requests
from nijika.metrics.requests import Spent

process.began()
for _ in range(int(sys.argv[1])):
    requests.ended("/api/x", "POST", 200, "-", Spent(0.004, 0.001, 10, 20))
requests.CONNECTIONS.inc(5)
print(exposition.render("")[0].decode(), flush=True)
"""


class Process:
    """One that has counted, has looked at everybody's numbers, and is gone; or is still there, and waits."""

    def __init__(self, folder: Folder, requests: int, *, stays: bool = False) -> None:
        code = COUNT + ("print('.', flush=True)\nsys.stdin.read()" if stays else "")
        command = [sys.executable, "-c", code, str(requests)]
        environment = os.environ | folder.environment
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        lines: list[str] = []
        while (line := self._process.stdout.readline()) and line != ".\n":
            lines.append(line)
        self.scrape = Scrape("".join(lines))
        self.pid = self._process.pid
        if not stays:
            self.end()

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with Folder(tmp_path) as folder:
        yield folder


def count(process: Process) -> float:
    return process.scrape.value("nijika_requests_total", route="/api/x")


def test_whoever_is_asked_knows_what_all_have_counted(folder: Folder) -> None:
    first = Process(folder, 3, stays=True)
    second = Process(folder, 4)
    first.end()

    assert (count(first), count(second)) == (3, 7)
    assert second.scrape.value("nijika_request_seconds_count", route="/api/x") == 7
    assert second.scrape.value("nijika_request_seconds_bucket", route="/api/x", le="0.005") == 7
    assert second.scrape.value("nijika_processes") == 2
    assert second.scrape.value("nijika_connections_open") == 10


def test_what_the_dead_have_counted_stays_and_what_they_were_doing_goes(folder: Folder) -> None:
    for requests in (1, 2, 3):
        folder.ended(Process(folder, requests).pid)

    last = Process(folder, 4)

    assert count(last) == 10
    assert last.scrape.value("nijika_gateway_seconds_sum", route="/api/x") == pytest.approx(0.01)
    assert last.scrape.value("nijika_sent_bytes_total", route="/api/x") == 200
    assert last.scrape.value("nijika_processes") == 1
    assert last.scrape.value("nijika_connections_open") == 5


def test_a_gateway_that_is_often_reloaded_does_not_gather_files(folder: Folder) -> None:
    def files() -> int:
        return len(list(folder.path.glob("*.db")))

    folder.ended(Process(folder, 1).pid)
    once = files()
    for _ in range(3):
        folder.ended(Process(folder, 1).pid)

    assert files() == once


def test_nobody_waits_for_one_who_reads_and_hangs(folder: Folder) -> None:
    first, second = Process(folder, 1), Process(folder, 2)
    with together.reading(folder.path):
        folder.ended(first.pid)
        alone = {file.name for file in folder.path.glob("counter_*.db")}

    folder.ended(second.pid)

    assert f"counter_{first.pid}.db" in alone
    assert {file.name for file in folder.path.glob("counter_*.db")} == {"counter_ended.db"}
    assert count(Process(folder, 0)) == 3


def test_one_who_reads_waits_until_the_dead_are_buried(folder: Folder) -> None:
    undertaker = os.open(folder.path, os.O_RDONLY)
    fcntl.flock(undertaker, fcntl.LOCK_EX)

    asked = subprocess.Popen(
        [sys.executable, "-c", COUNT, "1"], cwd=ROOT, env=os.environ | folder.environment, stdout=subprocess.PIPE
    )
    while not re.search(rf"-> FLOCK +ADVISORY +READ +{asked.pid} ", Path("/proc/locks").read_text()):
        assert asked.poll() is None, "it did not wait"
        time.sleep(0.01)
    os.close(undertaker)
    told, _ = asked.communicate(timeout=30)

    assert b"nijika_processes 1.0" in told


def test_the_last_reload_is_the_one_that_is_told(folder: Folder) -> None:
    begun = Process(folder, 0).scrape
    folder.reloaded(ok=False)
    refused = Process(folder, 0).scrape
    folder.reloaded(ok=True)
    mended = Process(folder, 0).scrape

    reloads = [mended.value("nijika_config_reloads_total", outcome=outcome) for outcome in ("accepted", "refused")]
    told = [scrape.value("nijika_config_reload_success") for scrape in (begun, refused, mended)]
    times = [scrape.value("nijika_config_reload_timestamp_seconds") for scrape in (begun, refused, mended)]
    assert (told, reloads) == ([1, 0, 1], [1, 1])
    assert 0 < times[0] < times[1] < times[2]


def test_what_the_supervisor_counts_is_among_the_numbers(folder: Folder) -> None:
    for _ in range(3):
        folder.crashed()

    assert Process(folder, 0).scrape.value("nijika_process_crashes_total") == 3


def test_one_who_died_while_it_began_a_file_spoils_no_scrape(folder: Folder) -> None:
    dead = Process(folder, 2)
    for kind in ("counter", "histogram"):
        (folder.path / f"{kind}_{dead.pid}.db").write_bytes(b"")

    folder.ended(dead.pid)

    assert count(Process(folder, 1)) == 1


def test_a_folder_that_is_gone_ends_nobody(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    shutil.rmtree(folder.path)

    folder.ended(12345)
    folder.crashed()
    folder.reloaded(ok=True)

    assert [record.message.startswith("metrics: ") for record in caplog.records] == [True] * 4


def test_a_full_disk_is_not_where_processes_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with Folder() as folder:
        assert folder.path.parent == together.MEMORY
    monkeypatch.setattr(together, "MEMORY", tmp_path / "none")
    with Folder() as folder:
        assert folder.path.parent == Path(tempfile.gettempdir())


def test_where_there_can_be_no_folder_the_gateway_says_so(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="No folder can be made for what the processes count"):
        Folder(tmp_path / "none")


def test_the_folder_is_for_its_owner_alone_and_goes_with_its_run(tmp_path: Path) -> None:
    with Folder(tmp_path) as folder:
        mode = folder.path.stat().st_mode

    assert mode & 0o077 == 0
    assert not folder.path.exists()


NO_ROOM = """
import os, resource, signal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # a file has no more room than this
from nijika.metrics import requests

began = len(os.listdir("/proc/self/fd"))
for number in range(100):
    requests.ended(f"/{number}", "GET", 200, "-", requests.Spent(0.004, 0.001, 10, 20))
print(len(os.listdir("/proc/self/fd")) - began)
"""


def test_numbers_that_find_no_room_keep_no_descriptors(folder: Folder) -> None:
    environment = os.environ | folder.environment

    left = subprocess.check_output([sys.executable, "-c", NO_ROOM], cwd=ROOT, env=environment, text=True)

    assert int(left) == 0
