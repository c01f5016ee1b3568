"""Several processes that are counted as one: each writes into a folder, and whichever is asked reads all of it.

Source: prometheus_client, "Multiprocess Mode": files by kind and process, whose names tell how they are read together.
"""

import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from prometheus_client import Counter
from prometheus_client.mmap_dict import mmap_key
from prometheus_client.multiprocess import mark_process_dead

from nijika.errors import StartError
from nijika.metrics import numbers
from nijika.metrics.process import CRASHES, RELOAD_SUCCESS, RELOAD_TIMESTAMP, RELOADS
from nijika.metrics.registry import VARIABLE

MEMORY = Path("/dev/shm")  # noqa: S108 (the folder in it is private)
"""Preferred to a disk: one that is full kills whoever writes into a file that is mapped into memory."""

log = logging.getLogger("nijika")

_SUMS = "counter", "histogram"


class Folder:
    """A private folder for one run of a gateway, kept by the supervisor of its processes; a context manager.

    `environment` is what each process must be started with; it is looked at before there are any metrics. The
    supervisor's own registry counts nothing; it writes the few numbers that it knows beside those of its processes.
    What goes wrong later is a line in the log: nobody is to be served worse for it. StartError if there can be none.
    """

    def __init__(self, inside: Path | None = None) -> None:
        if inside is None and os.access(MEMORY, os.W_OK | os.X_OK):
            inside = MEMORY
        try:
            self.path = Path(tempfile.mkdtemp(prefix="nijika-metrics-", dir=inside))
        except OSError as error:
            raise StartError(f"No folder can be made for what the processes count: {error}.") from None
        self.environment = {VARIABLE: str(self.path)}
        self._ended: set[int] = set()

    def __enter__(self) -> Self:
        self._read(ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def ended(self, pid: int) -> None:
        """A process is gone: what it has counted stays, what it was doing does not.

        Its files are added to those of the dead before it, or a gateway that is often reloaded would be read ever
        more slowly.
        """
        self._ended.add(pid)
        with _harmless():
            mark_process_dead(pid, str(self.path))  # type: ignore[no-untyped-call]
            with suppress(BlockingIOError), _locked(self.path, fcntl.LOCK_EX | fcntl.LOCK_NB):
                # One who reads, and perhaps hangs, is not waited for: then it is done when the next process ends.
                for file in [self.path / f"{kind}_{ended}.db" for ended in self._ended for kind in _SUMS]:
                    numbers.move(file, file.with_name(f"{file.name.partition('_')[0]}_ended.db"))
                self._ended.clear()

    def crashed(self) -> None:
        """A process that is still wanted is started again."""
        self._count(CRASHES)

    def reloaded(self, *, ok: bool) -> None:
        """New processes go by a new config.toml; or that was refused, and the old ones go on."""
        self._count(RELOADS, outcome="accepted" if ok else "refused")
        self._read(ok=ok)

    def _read(self, *, ok: bool) -> None:
        now = time.time()
        told = {}
        for gauge, value in ((RELOAD_SUCCESS, float(ok)), (RELOAD_TIMESTAMP, now)):
            (metric,) = gauge.describe()
            told[mmap_key(metric.name, metric.name, [], [], metric.documentation)] = value, now
        with _harmless():
            numbers.write(self.path / f"gauge_livemostrecent_{os.getpid()}.db", told)

    def _count(self, counter: Counter, **labels: str) -> None:
        (metric,) = counter.describe()
        key = mmap_key(metric.name, f"{metric.name}_total", [*labels], [*labels.values()], metric.documentation)
        with _harmless():
            numbers.add({key: (1.0, 0.0)}, self.path / f"counter_{os.getpid()}.db")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Nobody who ended is counted twice, or not at all, during the block."""
    with _locked(path, fcntl.LOCK_SH):
        yield


@contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        log.warning("metrics: %s", error)


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, how)
        yield
    finally:
        os.close(folder)
