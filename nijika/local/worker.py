"""The demo's picture worker: a process of its own on a free port, ready before the first call."""

import importlib.util
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nijika.errors import StartError

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 10
READY_SECONDS = 600  # weights may have to be fetched
ASK_SECONDS = 0.2

ENGINES = ("classic", "birefnet")


@dataclass(frozen=True)
class Kind:
    """Which engine finds the foreground, and where its weights are: a folder, or a name on the hub."""

    engine: str = "classic"
    weights: str | None = None


@contextmanager
def started(kind: Kind) -> Iterator[subprocess.Popen[str]]:
    """The worker, for as long as the block runs. StartError if what it needs is not installed.

    It is in a session of its own, so that Ctrl-C reaches it through us alone.
    """
    _check_installed(kind)
    command = [sys.executable, "-m", "worker", "--engine", kind.engine, "--port", "0", "--exit-with-parent"]
    if kind.weights is not None:
        command += ["--weights", kind.weights]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True)  # noqa: S603
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def address(process: "subprocess.Popen[str]") -> str:
    """Where the worker listens, by the line that it prints; returns when its engine is loaded. StartError."""
    assert process.stdout is not None
    line = process.stdout.readline()
    _, found, url = line.strip().partition("listening on ")
    if not found:
        raise StartError("The worker did not start; its words are above.")
    end = time.monotonic() + READY_SECONDS
    while process.poll() is None and not _is_ready(url):
        if time.monotonic() > end:
            raise StartError("The worker did not get ready; its words are above.")
        time.sleep(ASK_SECONDS)
    if process.poll() is not None:
        raise StartError("The worker ended before it was ready; its words are above.")
    return url


def _is_ready(url: str) -> bool:
    """StartError, in the worker's own words, if it will never be."""
    try:
        with urllib.request.urlopen(f"{url}/ready", timeout=5):  # noqa: S310 (the address of our own process)
            return True
    except urllib.error.HTTPError as error:
        with error:
            told = json.loads(error.read())
        if told["code"] != "not-ready":
            raise StartError(told["detail"]) from None
    except OSError:  # it is too busy to answer, or just ending
        pass
    return False


def _check_installed(kind: Kind) -> None:
    if importlib.util.find_spec("cv2") is None:
        raise StartError("The demo's worker needs OpenCV. Install it with: pip install 'nijika[classic]'")
    if kind.engine != "birefnet":
        if kind.weights is not None:
            raise StartError(f"The engine {kind.engine} has no use for weights. Did you mean --engine birefnet?")
        return
    missing = [name for name in ("torch", "transformers", "safetensors") if importlib.util.find_spec(name) is None]
    if missing:
        raise StartError(
            f"The engine birefnet needs {' and '.join(missing)}, which this Python lacks. Choose a build of torch for "
            "this machine (docs/models.md), and install the rest with: pip install 'nijika[worker]'"
        )
    if kind.weights is None:
        raise StartError(
            "The engine birefnet needs weights: --weights general (or another name of docs/models.md), or a folder."
        )
