"""The engines by name; one is chosen at start and imported only then."""

from importlib import import_module
from typing import Protocol

from worker.pixels import Bytes

TABLE = {"classic": "worker.engines.classic:Classic"}
NAMES = ("auto", *TABLE)


class Engine(Protocol):
    """Finds the foreground of a picture; made, and afterwards called, in one and the same thread."""

    name: str
    quality: str

    def alpha(self, rgb: Bytes) -> Bytes:
        """Take (H, W, 3) uint8 and return (H, W) uint8: 255 foreground, 0 background."""


def load(name: str) -> Engine:
    """Import and make the engine `name`, one of NAMES; `auto` is the first of the table."""
    module, _, kind = TABLE[next(iter(TABLE)) if name == "auto" else name].partition(":")
    engine: Engine = getattr(import_module(module), kind)()
    return engine
