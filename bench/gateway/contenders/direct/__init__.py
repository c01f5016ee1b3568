"""No contender at all: what load generator and upstream can do by themselves. Nobody can be faster."""

from collections.abc import Iterator
from contextlib import contextmanager

from bench.gateway.serving import Contender, Ground, Served


class Direct(Contender):
    """The upstream itself."""

    name = "direct"
    what = "no proxy: load generator and upstream on one core"

    def install(self) -> str:
        """Nothing."""
        return ""

    @contextmanager
    def serve(self, ground: Ground) -> Iterator[Served]:
        """It runs already; its own figures of memory and processor are not looked at."""
        yield Served(ground.upstream, [], ground.cores.gateway())
