"""The process of both OAuth servers, which lives no longer than its standard input."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from playwright._impl._driver import compute_driver_executable

from tests.providers.lacking import lack

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "npm" / "node_modules" / "oidc-provider"


@contextmanager
def serving(log: Path) -> Iterator[dict[str, str]]:
    """The addresses of the servers by their kind, for as long as the block runs; what they say goes into the log."""
    if not PACKAGE.exists():
        lack("The OAuth servers of the tests are not installed; make test does it, given npm.")
    with (
        log.open("w") as said,
        subprocess.Popen(
            [_node(), HERE / "server.mjs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        ) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"the OAuth servers did not start: {log.read_text()}"
        yield cast("dict[str, str]", json.loads(line))


def _node() -> str:
    # Playwright brings a Node.js that its lock pins; Debian 12's own is too old for oidc-provider 9.
    node, _ = compute_driver_executable()
    return node
