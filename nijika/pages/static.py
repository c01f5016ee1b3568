"""The files of pages: each address carries a digest of its content, so that an upgrade is seen at once."""

import functools
import hashlib
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
DIGEST_CHARACTERS = 12


def folder(name: str) -> Path:
    """Inside of the package when it is installed, beside it in the source."""
    packaged = PACKAGE / name
    return packaged if packaged.is_dir() else PACKAGE.parent / name


def address(name: str) -> str:
    """Where a page finds a file of static/; OSError if there is none."""
    return f"/static/{name}?v={digest(folder('static') / name)}"


def digest(file: Path) -> str:
    """A short digest of what the file holds now."""
    return _digest(file, file.stat().st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _digest(file: Path, _changed: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:DIGEST_CHARACTERS]
