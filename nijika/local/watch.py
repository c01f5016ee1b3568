"""Two processes that live and end together."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nijika.errors import StartError


@contextmanager
def together(process: "subprocess.Popen[Any]", sentence: str) -> Iterator[None]:
    """If `process` ends by itself, the block is ended by SIGTERM to this process, and StartError(sentence) follows.

    A gateway without its database or worker would go on for ever, refusing everything.
    """
    stopping, ended = threading.Event(), threading.Event()

    def wait() -> None:
        process.wait()
        if not stopping.is_set():
            ended.set()
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name=f"watch {process.pid}", daemon=True).start()
    try:
        yield
    except SystemExit:
        if not ended.is_set():
            raise
    finally:
        stopping.set()
    if ended.is_set():
        raise StartError(sentence)
