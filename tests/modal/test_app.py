"""The worker's app for Modal: what a deployment would tell Modal, and that a container of it serves."""

import ast
import asyncio
import json
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.modal.plane import Plane, connected
from worker import modal_app

ENVIRONMENT = {"WORKER_ENGINE": "birefnet", "WORKER_WEIGHTS": "general", "HF_HOME": "/weights", "HF_HUB_OFFLINE": "1"}
ROOT = Path(modal_app.__file__).parents[1]


@pytest.fixture(scope="module")
def plane() -> Plane:
    """The control plane after `modal deploy -m worker.modal_app`; what an app is made of remembers its first one."""

    async def deployed() -> Plane:
        async with connected() as (plane, client):
            await modal_app.app.deploy.aio(client=client)
        return plane

    return asyncio.run(deployed())


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A container of the server, not yet entered, on a free port and with the engine that needs no weights."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    monkeypatch.setattr(modal_app, "PORT", port)
    monkeypatch.setattr(modal_app, "ENGINE", "classic")
    container = modal_app.Worker._get_user_cls()()  # type: ignore[attr-defined] # it is a modal.Server by now
    yield container
    if hasattr(container, "process"):
        container.process.kill()
        container.process.wait()


def ready() -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{modal_app.PORT}/ready", timeout=5) as answer:
        return json.load(answer)


def test_it_imports_without_a_token_and_without_a_connection() -> None:
    code = (
        "import socket\n"
        "def refused(*_): raise AssertionError('a connection was opened')\n"
        "socket.socket.connect = refused\n"
        "import worker.modal_app\n"
    )
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "MODAL_CONFIG_PATH": "/nonexistent/modal.toml"}

    done = subprocess.run(
        (sys.executable, "-c", code), cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_the_server_is_deployed_as_it_is_written(plane: Plane) -> None:
    data = plane.functions["Worker"]
    ranked = data.ranked_functions

    assert plane.published == ["nijika-worker"]
    assert data.is_server
    assert [each.function.resources.gpu_config.gpu_type for each in ranked] == ["L4", "A10", "L40S"]
    scale = data.autoscaler_settings
    assert (scale.min_containers, scale.max_containers, scale.buffer_containers, scale.scaledown_window) == (
        0,
        10,
        1,
        120,
    )
    assert (data.startup_timeout_secs, data.http_config.startup_timeout, data.http_config.exit_grace_period) == (
        300,
        300,
        60,
    )
    assert (data.http_config.port, data.http_config.unauthenticated) == (8001, False)
    assert scale.target_concurrency_float == 8
    for function in (each.function for each in ranked):
        assert function.max_concurrent_inputs == 16
        assert function.checkpointing_enabled
        assert dict(function.experimental_options) == {"enable_gpu_snapshot": "True"}
        mounts = [(plane.names[mount.volume_id], mount.mount_path, mount.read_only) for mount in function.volume_mounts]
        assert mounts == [("nijika-weights", "/weights", True)]
        assert [plane.secrets[secret] for secret in function.secret_ids] == [ENVIRONMENT]


def test_only_the_function_that_fills_the_volume_may_write_to_it(plane: Plane) -> None:
    (ranked,) = plane.functions["fill"].ranked_functions
    function = ranked.function

    mounts = [(plane.names[mount.volume_id], mount.mount_path, mount.read_only) for mount in function.volume_mounts]
    assert mounts == [("nijika-weights", "/weights", False)]
    assert function.timeout_secs == 3600


def test_each_package_of_the_image_has_one_version_and_the_tested_one(plane: Plane) -> None:
    lock = (ROOT / "requirements.lock").read_text()
    locked = set(re.findall(r"^[a-z-]+==[^ \\]+", lock, re.MULTILINE))
    names = {package.partition("==")[0] for package in locked}

    for package in modal_app.PACKAGES:
        name, _, version = package.partition("==")
        assert version
        assert package in locked or name not in names
    installs = [line for line in plane.dockerfile if "pip install" in line and "aiohttp" in line]
    assert all(package in installs[0] for package in modal_app.PACKAGES)
    assert [line for line in plane.dockerfile if "uv:latest" in line] == []


def test_a_container_is_entered_once_its_server_is_ready_and_left_when_that_has_stopped(container: Any) -> None:
    container.start()
    container.wake()

    assert ready() == {"status": "ready"}

    container.stop()

    assert container.process.returncode == 0


def test_a_server_with_a_network_is_told_which_weights_to_take_from_the_volume() -> None:
    command = modal_app.command()

    assert command[1:5] == ["-m", "worker", "--engine", "birefnet"]
    assert command[-2:] == ["--weights", "general"]


def test_a_container_whose_server_cannot_start_says_so_at_once(container: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modal_app, "ENGINE", "no-such-engine")

    with pytest.raises(RuntimeError, match="ended with status 2"):
        container.start()


def test_a_container_whose_volume_was_not_filled_says_so_at_once(
    container: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(modal_app, "ENGINE", "birefnet")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    with pytest.raises(RuntimeError, match="The engine cannot be loaded"):
        container.start()


@pytest.mark.filterwarnings("ignore:The fill function is executing locally")
def test_weights_are_filled_from_a_commit_only() -> None:
    with pytest.raises(ValueError, match="40 hexadecimal digits"):
        modal_app.fill.local("someone/weights", "main")


def test_the_app_is_thin() -> None:
    modules = {
        node.module or ""
        for node in ast.walk(ast.parse(Path(modal_app.__file__).read_text()))
        if isinstance(node, ast.ImportFrom)
    }

    assert not {module for module in modules if module.startswith("worker")}
