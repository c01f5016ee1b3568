"""What every contender is to the bench: something that can be installed, started, called and stopped."""

import string
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from bench.gateway.cores import Cores
from bench.gateway.exchange import Fields, connect, small
from bench.gateway.processes import Process

NOBODY: Sequence[Fields] = ({},)


@dataclass(frozen=True)
class Ground:
    """What a contender is started on: a folder of its own, the upstream's port, a PostgreSQL for its own databases."""

    folder: Path
    upstream: int
    database: str
    cores: Cores


class Books(Protocol):
    """Where a contender keeps accounts of its calls."""

    def mark(self) -> None:
        """What is charged from here on is what the next `audit` looks at."""

    def settle(self) -> None:
        """Return when nothing is under way any more."""

    def audit(self, answers: int, under_way: int) -> list[str]:
        """What is wrong, in sentences, with the charges since the mark.

        There must be one for each of `answers`, and for at most `under_way` more: calls that the load's end cut off.
        """

    def close(self) -> list[str]:
        """What is wrong with all of it, at the end."""


@dataclass(frozen=True)
class Served:
    """A contender that runs: calls go to `prefix` on `port`, with the fields of each of `callers` in turn."""

    port: int
    processes: Sequence[Process]
    cores: Sequence[int]
    prefix: str = "/api"
    callers: Sequence[Fields] = NOBODY
    books: Books | None = None

    def cpu_seconds(self) -> float:
        """What all of its processes have used."""
        return sum(process.cpu_seconds() for process in self.processes)

    def rss_mib(self) -> float:
        """The resident memory of all of its processes."""
        return sum(process.rss_kib() for process in self.processes) / 1024

    def mark(self) -> None:
        """As that of its books."""
        if self.books is not None:
            self.books.mark()

    def settle(self) -> None:
        """Return when nothing is under way any more, where that can be known."""
        if self.books is not None:
            self.books.settle()

    def audit(self, answers: int, under_way: int) -> list[str]:
        """As that of its books."""
        return [] if self.books is None else self.books.audit(answers, under_way)

    def try_out(self) -> None:
        """One call. Raises Unavailable if it fails."""
        with closing(connect(self.port)) as connection:
            small(connection, self.prefix, self.callers[0])


class Contender(ABC):
    """One line of the tables."""

    name: str
    what: str
    processes: int = 1

    @abstractmethod
    def install(self) -> str:
        """See to it that its programs are there; returns its version. Raises Unavailable."""

    @abstractmethod
    def serve(self, ground: Ground) -> AbstractContextManager[Served]:
        """Run it during the block; it listens when the block begins. Raises Unavailable."""


class _Template(string.Template):
    """`@{name}` stands for a value: no contender's own language uses that."""

    delimiter: ClassVar[str] = "@"


def filled(template: Path, folder: Path, **values: object) -> Path:
    """A configuration in `folder`, from its template; `folder` is a value, too."""
    file = folder / template.name
    text = _Template(template.read_text()).safe_substitute(
        values, folder=folder
    )  # safe: Envoy has words that begin with "@"
    assert "@{" not in text, f"{template} has a value that nobody gives"
    file.write_text(text)
    return file
