"""Files of numbers as prometheus_client reads them, written as a whole: whoever looks sees the old one or the new one.

Source: prometheus_client.mmap_dict: how many bytes are used, and then each key with its value and its time.
"""

import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict

Numbers = Mapping[str, tuple[float, float]]
"""By key: a value, and when it was so in Unix time, if that matters."""

BEGIN = 8
"""Where the first entry is."""


def write(file: Path, numbers: Numbers) -> None:
    """These, and no others, are in the file. Raises OSError."""
    entries = b"".join(entry(key, *number) for key, number in numbers.items())
    draft = file.with_suffix(".draft")
    draft.write_bytes(struct.pack("i4x", BEGIN + len(entries)) + entries)
    draft.replace(file)


def add(numbers: Numbers, total: Path) -> None:
    """Add them to those that are in a file. Raises OSError."""
    sums = _read(total)
    for key, (value, _) in numbers.items():
        sums[key] = sums.get(key, (0.0, 0.0))[0] + value, 0.0
    write(total, sums)


def move(file: Path, total: Path) -> None:
    """Add what is in one file, if it is there, to what is in another one, and remove it. Raises OSError."""
    if file.exists():
        add(_read(file), total)
        file.unlink()


def _read(file: Path) -> dict[str, tuple[float, float]]:
    """Whoever was killed while it began a file has left nothing in it."""
    with suppress(FileNotFoundError, struct.error):
        values = MmapedDict.read_all_values_from_file(str(file))  # type: ignore[no-untyped-call]
        return {key: (value, when) for key, value, when, _ in values}
    return {}


def entry(key: str, value: float, when: float) -> bytes:
    """A number as it stands in a file, 16 bytes of it at the end; its length is a multiple of 8."""
    encoded = key.encode()
    padded = encoded + b" " * (8 - (len(encoded) + 4) % 8)
    return struct.pack(f"i{len(padded)}sdd", len(encoded), padded, value, when)
