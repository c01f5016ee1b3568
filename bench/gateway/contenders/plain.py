"""A contender that is one program with one configuration file, and knows no callers."""

import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.gateway import ports
from bench.gateway.processes import running
from bench.gateway.serving import Contender, Ground, Served, filled

START_SECONDS = 20


class Plain(Contender):
    """`find` gives the program, `words` what follows it on the command line before and after the configuration."""

    def __init__(
        self,
        name: str,
        what: str,
        *,
        find: Callable[[], Path],
        configuration: Path,
        words: Callable[[Path], Sequence[str | Path]],
        version: str,
    ) -> None:
        self.name = name
        self.what = what
        self._find = find
        self._configuration = configuration
        self._words = words
        self._version = version

    def install(self) -> str:
        """Its version, as it says itself."""
        return version(self._find(), self._version)

    @contextmanager
    def serve(self, ground: Ground) -> Iterator[Served]:
        """Run it."""
        port = ports.free()
        file = filled(self._configuration, ground.folder, port=port, upstream=ground.upstream)
        place = ground.cores.gateway()
        words = [self._find(), *self._words(file)]
        with running(words, cores=place, log=ground.folder / "log", folder=ground.folder) as process:
            process.await_listening(port, START_SECONDS)
            yield Served(port, [process], place)


def version(program: Path, word: str) -> str:
    """The first number with dots that `program word` says."""
    done = subprocess.run([program, word], capture_output=True, text=True, check=False)  # noqa: S603 (our own words)
    found = re.search(r"\d+\.\d+(?:\.\d+)?", done.stdout + done.stderr)
    return found[0] if found else "?"
