"""One run of the bench: the contenders that take part, what they stand on, and what went wrong."""

import dataclasses
import itertools
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bench.gateway.contenders import BARE, DIRECT
from bench.gateway.load import Load, Run, run
from bench.gateway.programs import Unavailable
from bench.gateway.serving import Contender, Ground, Served
from bench.gateway.sizes import BODY_BYTES

WARM_UP = Load("small", 32, BODY_BYTES, 1)


@dataclasses.dataclass(frozen=True)
class Options:
    """What was asked for: rounds, seconds for each contender in each, and the numbers of connections."""

    rounds: int
    seconds: int
    connections: tuple[int, ...]


class Bench:
    """`versions` tells who takes part, `lacking` why others do not, `wrong` what answers or charges were not right."""

    def __init__(self, ground: Ground, options: Options) -> None:
        self.options = options
        self.ground = ground
        self.contenders: dict[str, Contender] = {}
        self.versions: dict[str, str] = {}
        self.lacking: dict[str, str] = {}
        self.wrong: list[str] = []
        self._numbers = itertools.count()

    def enter(self, contender: Contender) -> None:
        """Let it take part, if it can be had."""
        try:
            self.versions[contender.name] = contender.install()
        except Unavailable as error:
            self._lacks(contender.name, error)
            return
        self.contenders[contender.name] = contender

    @contextmanager
    def everybody(self, *, warm: bool) -> Iterator[dict[str, Served]]:
        """All of them at once, each idle until its turn. Who does not start takes no part from here on."""
        with ExitStack() as stack:
            served = {}
            for name in list(self.contenders):
                try:
                    served[name] = stack.enter_context(self.alone(name, warm=warm))
                except Unavailable as error:
                    self._lacks(name, error)
            yield served

    @contextmanager
    def alone(self, name: str, *, warm: bool = False) -> Iterator[Served]:
        """One of them, fresh, and tried out with one call, or with many. Raises Unavailable."""
        folder = self.ground.folder / f"{next(self._numbers)}-{name}"
        folder.mkdir()
        with self.contenders[name].serve(dataclasses.replace(self.ground, folder=folder)) as served:
            served.try_out()
            if warm and self.options.rounds > 1:  # a single round is for looking, not for comparing
                self.load(name, served, WARM_UP)
            yield served
            if served.books is not None:
                self._note(name, served.books.close())

    def rounds(self, served: dict[str, Served], load: Load) -> dict[str, list[Run]]:
        """Everybody under the same load, one after the other in each round; each round begins with somebody else."""
        runs: dict[str, list[Run]] = {name: [] for name in served}
        names = list(served)
        for number in range(self.options.rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                runs[name].append(self.load(name, served[name], load))
            tell(f"{load.path}, {load.connections} connections: round {number + 1} of {self.options.rounds}")
        return runs

    def load(self, name: str, served: Served, load: Load) -> Run:
        """One contender once."""
        where, upstream = self.ground.cores, self.ground.upstream
        done = run(served, load, upstream=upstream, where=where, folder=self.ground.folder)
        self._note(f"{name}, {load.path}, {load.connections} connections", done.wrong)
        return done

    def _lacks(self, name: str, error: Unavailable) -> None:
        if name in {DIRECT, BARE}:
            raise error
        self.contenders.pop(name, None)
        self.lacking[name] = str(error)
        tell(f"without {name}: {error}")

    def _note(self, where: str, wrong: list[str]) -> None:
        self.wrong += [f"{where}: {sentence}" for sentence in wrong]


def tell(line: str) -> None:
    """Something for whoever waits."""
    print(line, file=sys.stderr, flush=True)
