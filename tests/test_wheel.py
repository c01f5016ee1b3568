"""The wheel, unpacked, in a folder with nothing else: what a user has after `pip install nijika`."""

import os
import re
import signal
import stat
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
END_SECONDS = 30


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel was unpacked into."""
    made, into = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("installed")
    build = (sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(made))
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = made.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(into)
    return into


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    return tmp_path


def run(unpacked: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(unpacked)}
    return subprocess.run(
        (sys.executable, *words), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@contextmanager
def serving(unpacked: Path, folder: Path) -> Iterator[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(unpacked)}
    command = (sys.executable, "-m", "nijika", "serve")
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on "), line
        yield line.split()[-1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=END_SECONDS)
    assert process.returncode == 0


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        assert answer.status == 200
        return bytes(answer.read())


def test_from_an_empty_folder_init_and_serve_bring_up_pages_files_and_the_database(
    unpacked: Path, folder: Path
) -> None:
    place = run(unpacked, folder, "-c", "import nijika; print(nijika.__file__)").stdout
    made = run(unpacked, folder, "-m", "nijika", "init")
    secret = folder / "data" / "secret"
    file = folder / "config.toml"
    file.write_text(re.sub(r"(?m)^port = \d+", "port = 0", file.read_text()))

    with serving(unpacked, folder) as url:
        front = fetched(url).decode()
        files = re.findall(r'(?:href|src)="(/static/[^"]+)"', front)
        ready = fetched(f"{url}/ready")
        contents = [fetched(url + name) for name in files]

    assert place.startswith(str(unpacked))
    assert (made.returncode, made.stderr) == (0, "")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert b'"database": "ok"' in ready
    assert contents
    assert all(contents)


def test_init_is_the_commented_file_of_the_package_and_touches_nothing_that_is_there(
    unpacked: Path, folder: Path
) -> None:
    first = run(unpacked, folder, "-m", "nijika", "init", "shop")
    written = (folder / "shop" / "config.toml").read_text()
    kept = (folder / "shop" / "data" / "secret").read_text()

    again = run(unpacked, folder, "-m", "nijika", "init", "shop")
    checked = run(unpacked, folder, "-m", "nijika", "check", "--config", "shop/config.toml")

    assert written == (ROOT / "config.toml").read_text()
    assert "nijika serve --config shop/config.toml" in first.stdout
    assert again.returncode == 1
    assert "is there already, and nothing was changed" in again.stderr
    assert (folder / "shop" / "data" / "secret").read_text() == kept
    assert checked.returncode == 0


@pytest.mark.parametrize(("place", "reason"), [("file/shop", "Not a directory"), ("file", "File exists")])
def test_init_where_nothing_can_be_written_is_a_sentence(unpacked: Path, folder: Path, place: str, reason: str) -> None:
    (folder / "file").write_text("")

    done = run(unpacked, folder, "-m", "nijika", "init", place)

    assert (done.returncode, done.stdout) == (1, "")
    assert f"{place}/config.toml cannot be written: {reason}." in done.stderr


def test_an_init_that_failed_leaves_nothing_in_the_way_of_the_next_one(unpacked: Path, folder: Path) -> None:
    (folder / "data").write_text("in the way of the folder")

    failed = run(unpacked, folder, "-m", "nijika", "init")
    (folder / "data").unlink()
    done = run(unpacked, folder, "-m", "nijika", "init")

    assert failed.returncode == 1
    assert "data is no folder" in failed.stderr
    assert (done.returncode, done.stderr) == (0, "")
