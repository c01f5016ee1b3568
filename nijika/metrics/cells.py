"""Numbers in files that are mapped into memory: counting is an addition there, and what was counted outlives a SIGKILL.

prometheus_client's own way takes a lock and packs each number anew, which costs five times as much; and on a full disk
it kills the process. Here a file has its room before anything is written. It is for one thread, that of the loop.
"""

import mmap
import os
import struct
from collections.abc import Sequence
from pathlib import Path

from prometheus_client.mmap_dict import mmap_key

from nijika.metrics import numbers

ROOM_BYTES = 1 << 18


class Value:
    """One number, as prometheus_client's metrics want it; its cell holds it, and when it was so."""

    __slots__ = ("_cell",)

    def __init__(self, cell: "memoryview[float]") -> None:
        self._cell = cell

    def inc(self, amount: float) -> None:
        """By so much."""
        self._cell[0] += amount

    def set(self, value: float, timestamp: float | None = None) -> None:
        """At the time that is given."""
        self._cell[0] = value
        self._cell[1] = timestamp or 0.0

    def get(self) -> float:
        """As it is now."""
        number: float = self._cell[0]
        return number

    def set_exemplar(self, exemplar: object) -> None:
        """There are none."""

    def get_exemplar(self) -> None:
        """There are none."""


class Files:
    """Those of this process in a folder, one for each kind of metric."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Cells] = {}

    def value(
        self,
        kind: str,
        metric: str,
        name: str,
        labels: Sequence[str],
        texts: Sequence[str],
        words: str,
        multiprocess_mode: str = "",
    ) -> Value:
        """A number of a metric; where there is no room for it, it counts in vain. What prometheus_client calls."""
        if multiprocess_mode:
            kind = f"{kind}_{multiprocess_mode}"
        try:
            if kind not in self._files:
                self._files[kind] = Cells(self._folder / f"{kind}_{os.getpid()}.db")
            return Value(self._files[kind].cell(mmap_key(metric, name, [*labels], [*texts], words)))
        except OSError:
            return Value(memoryview(bytearray(16)).cast("d"))


class Cells:
    """One file, of the form of `numbers`. Raises OSError if there is no room for more."""

    def __init__(self, file: Path) -> None:
        draft = file.with_suffix(".draft")  # whoever reads the folder finds no file that is not begun
        self._descriptor = os.open(draft, os.O_RDWR | os.O_CREAT, 0o600)
        self._cells: dict[str, memoryview[float]] = {}
        self._used = numbers.BEGIN
        self._size = 0
        try:
            self._grow(ROOM_BYTES)
        except OSError:
            os.close(self._descriptor)  # each number that finds no room tries it again
            raise
        draft.replace(file)

    def cell(self, key: str) -> "memoryview[float]":
        """Two numbers: the value of this key, and when it was so; both are 0 at first."""
        if key not in self._cells:
            entry = numbers.entry(key, 0.0, 0.0)
            end = self._used + len(entry)
            if end > self._size:
                self._grow(2 * self._size)
            self._map[self._used : end] = entry
            self._cells[key] = memoryview(self._map)[end - 16 : end].cast("d")
            self._used = end
            self._tell()
        return self._cells[key]

    def _grow(self, size: int) -> None:
        """Cells that there are stay in the smaller map, which shows the same file."""
        os.posix_fallocate(self._descriptor, 0, size)
        self._map = mmap.mmap(self._descriptor, size)
        self._size = size
        self._tell()

    def _tell(self) -> None:
        self._map[:4] = struct.pack("i", self._used)
