"""The demo, as a newly arrived user meets it: one command, the printed key, a real picture through the real worker."""

import importlib.util
import io
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

import pytest
from PIL import Image

from tests.providers.lacking import lack

ROOT = Path(__file__).parents[2]
END_SECONDS = 30


@dataclass
class Demo:
    process: "subprocess.Popen[str]"
    url: str
    key: str

    def call(self, path: str, body: bytes | None = None) -> tuple[int, Message, bytes]:
        request = urllib.request.Request(self.url + path, data=body, headers={"X-API-Key": self.key})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()


@contextmanager
def running(data: Path, *options: str) -> Iterator[Demo]:
    command = [sys.executable, "-m", "nijika", "demo", "--port", "0", "--data", str(data), *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        text = ""
        for line in process.stdout:
            text += line
            if "Ctrl-C" in line:
                break
        url, key = re.search(r"listening on (\S+)", text), re.search(r"nj_live_\w+", text)
        assert url is not None, text
        assert key is not None, text
        yield Demo(process, url[1], key[0])
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(END_SECONDS)
        process.stdout.close()


def test_a_picture_is_cut_out_and_charged_and_the_next_start_finds_the_account(tmp_path: Path) -> None:
    with running(tmp_path / "data") as demo:
        status, fields, cutout = demo.call("/api/removebg", (ROOT / "samples" / "mug.jpg").read_bytes())
        refused, refused_fields, _ = demo.call("/api/removebg", b"no picture at all")
        balance = demo.call("/api/account")[2]
        sign_in = demo.call("/login")[2]
    first_key = demo.key
    ended = demo.process.returncode
    with running(tmp_path / "data") as demo:
        again = demo.call("/api/account")[2]

    image = Image.open(io.BytesIO(cutout))
    alpha = image.getchannel("A")
    assert (status, image.format, image.mode, image.size) == (200, "PNG", "RGBA", (1200, 900))
    assert (alpha.getpixel((5, 5)), alpha.getpixel((650, 450))) == (0, 255)
    assert (fields["X-Engine"], fields["X-Credits-Charged"], fields["X-Credits-Remaining"]) == (
        "classic",
        "0.01",
        "49.99",
    )
    assert (refused, refused_fields["X-Credits-Charged"]) == (415, "0")
    assert b'"available": "49.99", "held": "0", "spent": "0.01"' in balance
    assert b"Continue as demo" in sign_in
    assert (ended, demo.key, again) == (0, first_key, balance)


def test_with_a_network_and_its_weights_that_cuts_out_and_is_paid_for(tmp_path: Path) -> None:
    """Made weights, which cut out nothing of use."""
    if importlib.util.find_spec("torch") is None:
        lack("There is no torch here; docs/models.md says how to get one.")
    script = (
        "from tests.worker import made\n"
        "model = made.small_birefnet()\n"
        "model.config.resolution = (64, 96)\n"
        f"model.save_pretrained({str(tmp_path / 'weights')!r})\n"
    )
    subprocess.run((sys.executable, "-c", script), cwd=ROOT, check=True, capture_output=True)

    with running(tmp_path / "data", "--engine", "birefnet", "--weights", str(tmp_path / "weights")) as demo:
        status, fields, cutout = demo.call("/api/removebg", (ROOT / "samples" / "mug.jpg").read_bytes())

    assert (status, fields["X-Engine"], fields["X-Credits-Charged"]) == (200, "birefnet", "0.01")
    assert Image.open(io.BytesIO(cutout)).size == (1200, 900)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--engine", "birefnet", "--weights", "/nowhere"], "/nowhere"),
        (["--engine", "birefnet"], "needs weights"),
        (["--weights", "general"], "no use for weights"),
    ],
)
def test_what_the_engine_lacks_is_said_in_a_sentence(tmp_path: Path, options: list[str], sentence: str) -> None:
    """Where torch is not installed that comes first."""
    command = [sys.executable, "-m", "nijika", "demo", "--port", "0", "--data", str(tmp_path), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 1
    assert sentence in done.stderr or "pip install 'nijika[worker]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("victim", ["PostgreSQL", "worker"])
def test_when_a_part_dies_the_demo_ends_and_leaves_nothing(tmp_path: Path, victim: str) -> None:
    with running(tmp_path / "data") as demo:
        children = _children(demo.process.pid)
        os.kill(
            next(pid for pid, words in children.items() if ("worker" in words) == (victim == "worker")), signal.SIGKILL
        )
        status = demo.process.wait(END_SECONDS)

    assert status == 1
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def _children(parent: int) -> dict[int, list[str]]:
    """The processes that a process started, each with the words of its command line."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"PPid:\t{parent}\n" in (folder / "status").read_text():
                found[int(folder.name)] = (folder / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
    return found
