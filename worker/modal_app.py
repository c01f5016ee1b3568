"""The worker on Modal: the same server, in containers with a GPU that sleep while nobody calls.

`modal run -m worker.modal_app::fill …` once, then `modal deploy -m worker.modal_app`; docs/modal.md has every step.
Source: modal 1.6 (`App.server`, `Volume`, `enter`, `exit`).
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from urllib.error import HTTPError

import modal

ENGINE = os.environ.get("WORKER_ENGINE", "birefnet")
WEIGHTS = os.environ.get("WORKER_WEIGHTS", "general")
"""A variant of docs/models.md. Both are read when the app is deployed, and told to its containers."""

GPUS = ["L4", "A10", "L40S"]  # the first that is free, in this order
PORT = 8001
START_SECONDS = 300  # until the engine is loaded; a restored snapshot takes a fraction of it
CALLS_MAX = 16  # in one container at a time; Modal answers more with 429
CALLS_AIMED_AT = 8  # more than these, and another container is started
DRAIN_SECONDS = 60  # for calls that are under way when a container is stopped

FOLDER = "/weights"
PYTHON = "3.11"
UV = "0.13.9"
PACKAGES = (
    "aiohttp==3.14.5",
    "numpy==2.4.6",
    "opencv-python-headless==5.0.0.93",
    "pillow==13.0.0",
    "torch==2.13.0",
    "transformers==5.24.0",
    "safetensors==0.8.0",
    "huggingface-hub==2.4.0",
)

app = modal.App("nijika-worker")
volume = modal.Volume.from_name("nijika-weights", create_if_missing=True)
image = (
    modal.Image.debian_slim(python_version=PYTHON)
    .uv_pip_install(*PACKAGES, uv_version=UV)
    .add_local_python_source("worker", copy=False)
)


def command() -> list[str]:
    """The worker's own command line. What it loads lies in the volume: nothing is fetched at a start."""
    options = {
        "--engine": ENGINE,
        "--host": "0.0.0.0",  # noqa: S104 (Modal's proxy is outside)
        "--port": PORT,
        "--waiting-max": CALLS_MAX,
        "--drain-seconds": DRAIN_SECONDS - 5,
        **({} if ENGINE == "classic" else {"--weights": WEIGHTS}),
    }
    return [sys.executable, "-m", "worker", *(str(part) for option in options.items() for part in option)]


@app.server(
    image=image,
    env={"WORKER_ENGINE": ENGINE, "WORKER_WEIGHTS": WEIGHTS, "HF_HOME": FOLDER, "HF_HUB_OFFLINE": "1"},
    gpu=None if ENGINE == "classic" else GPUS,
    cpu=4,
    memory=8192,
    volumes={FOLDER: volume.with_mount_options(read_only=True)},
    min_containers=0,
    max_containers=10,
    buffer_containers=1,
    target_concurrency=CALLS_AIMED_AT,
    max_concurrency=CALLS_MAX,
    scaledown_window=120,
    startup_timeout=START_SECONDS,
    exit_grace_period=DRAIN_SECONDS,
    port=PORT,
    unauthenticated=False,
    enable_memory_snapshot=True,
    experimental_options={"enable_gpu_snapshot": ENGINE != "classic"},
)
class Worker:
    """One container; what `start` leaves behind is what a snapshot holds: a server with its model on the GPU."""

    process: subprocess.Popen[bytes]

    @modal.enter(snap=True)
    def start(self) -> None:
        """Start the server and wait until the engine is loaded and warm."""
        self.process = subprocess.Popen(command())  # noqa: S603 (our own)
        wait_until_ready(self.process, START_SECONDS)

    @modal.enter(snap=False)
    def wake(self) -> None:
        """After a snapshot was restored, or right after `start`: answer nobody before the server does."""
        wait_until_ready(self.process, START_SECONDS)

    @modal.exit()
    def stop(self) -> None:
        """Let the calls that are under way end."""
        self.process.terminate()
        self.process.wait(DRAIN_SECONDS)


def wait_until_ready(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Return once `/ready` answers 200.

    RuntimeError if the process has ended, says that it will never be ready, or is not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"The worker ended with status {process.returncode}; its last lines say why.")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/ready", timeout=5):
                return
        except HTTPError as error:
            _refuse_hopeless(error)
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"The worker was not ready within {seconds:g} s.")


def _refuse_hopeless(error: HTTPError) -> None:
    # A worker that cannot load its engine lives on, so that somebody may ask it why; here nobody would.
    with error:
        told = json.load(error)
    if told["code"] != "not-ready":
        raise RuntimeError(told["detail"])


@app.function(image=image, env={"HF_HOME": FOLDER}, volumes={FOLDER: volume}, timeout=3600)
def fill(repository: str, revision: str) -> None:
    """Fetch weights from the Hugging Face hub into the volume; `revision` is a commit, so that they never change."""
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise ValueError("revision must be a commit of 40 hexadecimal digits, not a branch that may move")
    from huggingface_hub import hf_hub_download  # noqa: PLC0415 (only there)

    hf_hub_download(repository, "model.safetensors", revision=revision)
    volume.commit()
