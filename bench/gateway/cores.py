"""Which core runs what, so that a contender is measured and not its neighbours; and how busy others keep a core."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ENOUGH = 4  # with so many cores, two processes of a contender and the load are never on the same one


@dataclass(frozen=True)
class Cores:
    """All that this process may use, in order."""

    every: tuple[int, ...]

    @classmethod
    def here(cls) -> "Cores":
        """Those of this process."""
        return cls(tuple(sorted(os.sched_getaffinity(0))))

    def gateway(self, processes: int = 1) -> tuple[int, ...]:
        """A core for each process of the contender; with two cores in all, its second one is shared with the load."""
        return self.every[:processes]

    @property
    def load(self) -> tuple[int, ...]:
        """Load generator and upstream."""
        if len(self.every) < ENOUGH:
            return self.every[1:2] or self.every
        return self.every[2:-1] or self.every[2:]

    @property
    def database(self) -> tuple[int, ...]:
        """PostgreSQL: a machine of its own in real life, so never with the gateway where that can be helped."""
        return self.every[-1:]

    def told(self) -> str:
        """The sentence that stands above the figures."""
        return (
            f"Each contender on core {_listed(self.gateway())} (two processes: {_listed(self.gateway(2))}), "
            f"load generator and upstream on {_listed(self.load)}, PostgreSQL on {_listed(self.database)}."
        )


def _listed(cores: Collection[int]) -> str:
    return " and ".join(map(str, cores))


@contextmanager
def on(cores: Collection[int]) -> Iterator[None]:
    """What is started within the block runs on these cores for ever; so does this thread, during the block."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def busy_seconds(cores: Collection[int]) -> float:
    """How long these cores have worked for anybody since the machine was started, a hypervisor's other guests included.

    Source: proc(5), /proc/stat.
    """
    names = {f"cpu{core}" for core in cores}
    ticks = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name in names:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            ticks += user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")
