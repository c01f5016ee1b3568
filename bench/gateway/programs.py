"""Where the programs of contenders come from: Debian's as they are installed here, the others kept in bench/.cache."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

CACHE = Path(__file__).parents[1] / ".cache"
# What is cut off in the middle of an installation must not look like one that is there.
DONE = ".done"


class Unavailable(Exception):
    """A contender, or what it needs, cannot be had; the text is a sentence to whoever runs the bench."""


def debian(program: str, package: str) -> Path:
    """A program that a package of the system brings. Raises Unavailable."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise Unavailable(f"There is no {program} here. On Debian and Ubuntu: apt-get install {package}")
    return Path(found)


def wheel(requirement: str) -> Path:
    """A folder with one package and nothing that it needs, to be put on PYTHONPATH. Raises Unavailable."""
    return _kept(requirement, lambda folder: _pip(sys.executable, "--no-deps", "--target", str(folder), requirement))


def environment(requirement: str) -> Path:
    """The bin/ of a virtual environment with a package and all that it needs. Raises Unavailable."""

    def make(folder: Path) -> None:
        venv.create(folder, with_pip=True)
        _pip(str(folder / "bin" / "python"), requirement)

    return _kept(requirement, make) / "bin"


def npm(package: str) -> Path:
    """A folder with node_modules/, of a package and all that it needs. Raises Unavailable."""
    program = debian("npm", "npm")
    words = ("install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    return _kept(package, lambda folder: _run(str(program), *words, "--prefix", str(folder), package))


def _kept(what: str, make: Callable[[Path], None]) -> Path:
    """The folder in the cache, made once. Virtual environments do not move, so it is made where it stays."""
    folder = CACHE / what.replace("/", "-")
    if not (folder / DONE).exists():
        print(f"installing {what} into bench/.cache …", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder)
        (folder / DONE).touch()
    return folder


def _pip(python: str, *words: str) -> None:
    quiet = ("--quiet", "--quiet", "--disable-pip-version-check")
    _run(python, "-m", "pip", "install", *quiet, "--only-binary", ":all:", *words)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 (no word comes from outside)
    if done.returncode != 0:
        told = (done.stderr or done.stdout).strip().splitlines() or [f"{words[0]} ended with {done.returncode}"]
        raise Unavailable(f"{words[-1]} cannot be installed: {told[-1]}")
