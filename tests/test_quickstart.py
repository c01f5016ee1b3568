"""The documents that tell what to type are typed, in an empty folder, and print what they say."""

import os
import socket
import sys
import sysconfig
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.transcript import play

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What a user has, with all that pip would fetch at hand already; curl shows no progress, as at a terminal."""
    (tmp_path / ".curlrc").write_text("silent\nshow-error\n")
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PYTHONPATH": sysconfig.get_path("purelib"),
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip's way to say that there is none
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def free_ports(*names: str) -> dict[str, str]:
    with ExitStack() as stack:
        socks = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        return {name: str(sock.getsockname()[1]) for name, sock in zip(names, socks, strict=True)}


def test_the_quickstart_is_true(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "nijika").symlink_to(ROOT)

    play((DOCS / "quickstart.md").read_text(), tmp_path, environment, ports=free_ports("8080", "9000"))


def test_the_plugins_of_the_page_run_as_they_stand(tmp_path: Path, environment: dict[str, str]) -> None:
    command = tmp_path / "bin" / "nijika"
    command.parent.mkdir()
    command.write_text('#!/bin/sh\nexec python3 -m nijika "$@"\n')
    command.chmod(0o755)
    environment["PATH"] = f"{command.parent}:{environment['PATH']}"
    environment["PYTHONPATH"] += f":{ROOT}"

    play((DOCS / "plugins.md").read_text(), tmp_path, environment, ports=free_ports("8080"))
