"""Several processes that are counted as one: each writes into a folder, and whichever is asked reads all of it.

Source: prometheus_client, "Multiprocess Mode": numbers live in files that are mapped into memory, by process and kind.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import mark_process_dead

from nijika.metrics.process import RELOAD_SUCCESS, RELOAD_TIMESTAMP

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_SUMS = "counter", "histogram"


class Folder:
    """A private folder for one run of a gateway, kept by the supervisor of its processes; a context manager.

    `environment` is what each process must be started with: prometheus_client looks at it when it is imported.
    """

    def __init__(self, inside: Path | None = None) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="nijika-metrics-", dir=inside))
        self.environment = {VARIABLE: str(self.path)}
        self._ended: set[int] = set()

    def __enter__(self) -> Self:
        self.reloaded(ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def ended(self, pid: int) -> None:
        """A process is gone: what it has counted stays, what it was doing does not.

        Its files are added to those of the dead before it, or a gateway that is often reloaded would be read ever
        more slowly.
        """
        mark_process_dead(pid, str(self.path))  # type: ignore[no-untyped-call]
        self._ended.add(pid)
        with suppress(BlockingIOError), _locked(self.path, fcntl.LOCK_EX | fcntl.LOCK_NB):
            # One who reads, and perhaps hangs, is not waited for: then it is done when the next process ends.
            for file in [self.path / f"{kind}_{ended}.db" for ended in self._ended for kind in _SUMS]:
                if file.exists():
                    _add(file, file.with_name(f"{file.name.partition('_')[0]}_ended.db"))
            self._ended.clear()

    def reloaded(self, *, ok: bool) -> None:
        """As `process.reloaded`, by the supervisor, which counts nothing itself."""
        now = time.time()
        values = MmapedDict(str(self.path / f"gauge_livemostrecent_{os.getpid()}.db"))  # type: ignore[no-untyped-call]
        for gauge, value in ((RELOAD_SUCCESS, float(ok)), (RELOAD_TIMESTAMP, now)):
            (metric,) = gauge.describe()
            key = mmap_key(metric.name, metric.name, [], [], metric.documentation)
            values.write_value(key, value, now)  # type: ignore[no-untyped-call]
        values.close()  # type: ignore[no-untyped-call]


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Nobody who ended is counted twice, or not at all, during the block."""
    with _locked(path, fcntl.LOCK_SH):
        yield


def _add(file: Path, total: Path) -> None:
    """Add a file to another one. Its first bytes tell how much there is, and it is new until it has its name."""
    draft = total.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    sums = MmapedDict(str(draft))  # type: ignore[no-untyped-call]
    for source in (total, file):
        for key, value in _values(source):
            sums.write_value(key, sums.read_value(key)[0] + value, 0.0)  # type: ignore[no-untyped-call]
    sums.close()  # type: ignore[no-untyped-call]
    draft.replace(total)
    file.unlink()


def _values(file: Path) -> Iterable[tuple[str, float]]:
    with suppress(FileNotFoundError):
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):  # type: ignore[no-untyped-call]
            yield key, value


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, how)
        yield
    finally:
        os.close(folder)
