"""The command line as an operator and `nijika demo` use it: a real process, its streams and its exit status."""

import json
import signal
import socket
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import worker
from tests.worker import pictures
from worker import pixels
from worker.engines.classic import Classic

ROOT = Path(worker.__file__).parents[1]
WORKER = (sys.executable, "-m", "worker")


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        (*WORKER, "--port", "0", *arguments), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        try:
            assert process.stdout
            yield process, process.stdout.readline().removeprefix("listening on ").strip()
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_after_one_line(number: signal.Signals) -> None:
    with started() as (process, url):
        with urllib.request.urlopen(f"{url}/health") as answer:
            assert answer.status == 200

        process.send_signal(number)
        rest, errors = process.communicate(timeout=15)

    assert (process.returncode, rest, errors) == (0, "", "")


def test_a_busy_port_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run((*WORKER, "--port", str(port)), cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == f"Cannot listen on 127.0.0.1:{port}: the port is taken; choose another one with --port.\n"


def test_a_host_that_is_not_ours_is_one_sentence() -> None:
    done = subprocess.run((*WORKER, "--host", "192.0.2.1"), cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("Cannot listen on 192.0.2.1:8001: ")


def test_what_cannot_be_loaded_is_said_at_start_and_at_ready_and_nothing_stands_in() -> None:
    with started("--engine", "classic", "--weights", "somewhere") as (process, url):
        assert process.stderr
        sentence = process.stderr.readline()
        with pytest.raises(urllib.error.HTTPError) as answer:
            urllib.request.urlopen(f"{url}/ready")

        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=15)

    assert sentence.startswith('The engine cannot be loaded: The engine "classic" has no use for --weights.')
    with answer.value as refused:
        assert (refused.status, json.load(refused)["code"]) == (503, "engine-missing")
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("methods", "failure"),
    [
        ("def alphas(self, views): raise SystemExit('out of order')", "SystemExit('out of order')"),
        (
            "def alphas(self, views): raise RuntimeError('device-side assert')\n    is_lost = lambda *_: True",
            "RuntimeError('device-side assert')",
        ),
    ],
)
def test_when_the_engine_dies_the_worker_ends_with_a_sentence_so_that_it_is_started_again(
    methods: str, failure: str
) -> None:
    program = (
        "import sys\n"
        "from worker import __main__, engines\n"
        "from worker.engines.classic import Classic\n"
        "class Mortal(Classic):\n"
        f"    {methods}\n"
        "engines.load = lambda *_, **__: Mortal()\n"
        "sys.exit(__main__.main(['--port', '0']))\n"
    )
    with subprocess.Popen(
        (sys.executable, "-c", program), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        url = process.stdout.readline().removeprefix("listening on ").strip()
        picture = (ROOT / "samples" / "mug.jpg").read_bytes()
        with pytest.raises(urllib.error.HTTPError) as answer:
            urllib.request.urlopen(f"{url}/v1/cutout", picture)
        _, errors = process.communicate(timeout=30)

    with answer.value as refused:
        assert (refused.status, json.load(refused)["code"]) == (503, "engine-gone")
    assert process.returncode == 1
    assert errors == f"The engine has ended, and the worker with it: {failure}.\n"


def test_it_ends_when_its_parent_does() -> None:
    parent = "import subprocess, sys; subprocess.Popen(sys.argv[1:], stdout=1).wait()"
    command = (sys.executable, "-c", parent, *WORKER, "--port", "0", "--exit-with-parent")
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("listening on ")

        process.kill()

        # The pipe ends when the last process that holds it, the worker, is gone.
        assert process.stdout.read() == ""


def test_help_names_every_switch() -> None:
    text = subprocess.run((*WORKER, "--help"), cwd=ROOT, capture_output=True, text=True, check=True).stdout

    for switch in (
        *("engine", "weights", "upscaler", "upscaler-weights", "price-per-megapixel", "host", "port", "no-fetch"),
        *("exit-with-parent", "drain-seconds", "pixels-max", "output-pixels-max", "body-mib", "pixels-in-work"),
        *("waiting-max", "patience-seconds", "codec-threads"),
    ):
        assert f"--{switch}" in text
    words = " ".join(text.split())
    assert "auto: birefnet when --weights is given, else classic" in words
    assert "ID@COMMIT" in words
    assert "VARIANT=" in words


@pytest.mark.parametrize("amount", ["-1", "1e3", "0.0000001", "x", "nan"])
def test_a_price_that_is_no_amount_is_one_sentence(amount: str) -> None:
    done = subprocess.run(
        (*WORKER, f"--price-per-megapixel={amount}"), cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "no amount" in done.stderr


def test_its_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["version"] == worker.VERSION


def test_the_sample_is_small_and_its_cutout_keeps_mug_and_fruit() -> None:
    data = (ROOT / "samples" / "mug.jpg").read_bytes()

    alpha = pictures.matte(Classic(), pixels.decode(data, 10**7).rgb)

    assert len(data) < 200_000
    assert alpha[450, 650] == alpha[600, 290] == 255
    assert not alpha[420, 925].any()  # seen through the handle
    assert not alpha[:150].any()
    assert not alpha[790:].any()
