"""The engines and upscalers by name, and what each must do; those chosen at start are imported only then."""

from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, Protocol

from worker.pixels import Bytes

TABLE = {"classic": "worker.engines.classic:Classic", "birefnet": "worker.engines.birefnet.engine:Engine"}
NAMES = ("auto", *TABLE)
UPSCALERS = {"lanczos": "worker.engines.lanczos:Lanczos", "realesrgan": "worker.engines.realesrgan.engine:Upscaler"}


class Engine(Protocol):
    """Finds the foreground of pictures in three steps; only the one in the middle needs the device.

    It is made, warmed up and asked for `alphas` in one and the same thread. `view` and `enlarge` may be called from
    any thread, several at a time.
    """

    name: str
    quality: str
    """What to expect of it, in a sentence."""
    resolutions: tuple[int, ...]
    """Sides in pixels that a caller may choose for what the device sees, the usual one first; () leaves no choice."""
    pixels_together: int
    """The most pixels of views in one call of `alphas`. One view always goes, so 0 means: one at a time."""

    def view(self, rgb: Bytes, resolution: int | None) -> Bytes:
        """Return what the device is to see of `rgb` (H, W, 3) uint8: (h, w, 3) uint8. One shape goes together."""

    def alphas(self, views: Sequence[Bytes]) -> Sequence[Bytes]:
        """Take views (h, w, 3) uint8 of one shape; return for each, in order, (h', w') uint8: 255 foreground.

        What it raises fails a picture only if it is raised for that picture alone.
        """

    def enlarge(self, alpha: Bytes, view: Bytes, rgb: Bytes) -> Bytes:
        """Bring what `alphas` gave for `view` to the size of its picture, or of a smaller copy, `rgb`: (H, W) uint8."""

    def warm_up(self) -> None:
        """Do what would make the first picture slow."""

    def is_out_of_memory(self, error: Exception) -> bool:
        """Whether `error` says that the call was too large for the device, so that smaller ones may do."""

    def is_lost(self, error: Exception) -> bool:
        """Whether `error` says that nothing will run on the device again, but in a new process."""


class Canvas(Protocol):
    """Where the enlarged tiles of one picture are put together, by one thread at a time."""

    def add(self, tiles: Sequence[Bytes]) -> None:
        """Copy the next tiles, in the order of `cut`; none of them is kept."""

    def finished(self, size: tuple[int, int]) -> Bytes:
        """Return the whole picture at `size` (width, height): (H', W', 3) uint8."""


class Upscaler(Protocol):
    """Enlarges pictures tile by tile, in threads as Engine's: `enlarge` is the device's, the others are not."""

    name: str
    quality: str
    models: tuple[str, ...]
    """The models that a caller may choose, the usual one first."""
    denoising: frozenset[str]
    """Those of the models that take `denoise`."""
    pixels_together: int
    """The most pixels of tiles in one call of `enlarge`; see Engine."""

    def pixels_made(self, width: int, height: int, model: str, scale: float) -> int:
        """How many pixels a picture of that size has when it is largest on its way to `scale` times its sides.

        A network has a scale of its own, whatever is wished of it.
        """

    def cut(self, rgb: Bytes, model: str) -> Iterable[Bytes]:
        """Cut `rgb` (H, W, 3) uint8 into tiles (h, w, 3) uint8 for the device; none where it needs no device."""

    def enlarge(self, tiles: Sequence[Bytes], model: str, denoise: float | None) -> Sequence[Bytes]:
        """Take tiles of one shape, perhaps of several pictures; return each one enlarged, in order.

        `denoise` is 0 (keep the noise) to 1 (remove it), None the model's own way.
        """

    def canvas(self, rgb: Bytes, model: str) -> Canvas:
        """Where the enlarged tiles of `rgb` (H, W, 3) uint8 go."""

    def warm_up(self) -> None:
        """Do what would make the first picture slow."""

    def is_out_of_memory(self, error: Exception) -> bool:
        """As Engine's."""

    def is_lost(self, error: Exception) -> bool:
        """As Engine's."""


def load(name: str, weights: str | None = None, *, compiles: bool = False) -> Engine:
    """Import and make the engine `name`, one of NAMES; `auto` is birefnet where `weights` are given, else classic.

    `weights` is a folder, a file or the id of a hub, for the engines that need some; `compiles` is for networks. What
    this raises is for the operator: a sentence that tells what to do. Nothing is taken in place of what was asked for.
    """
    if name == "auto":
        name = "birefnet" if weights else "classic"
    engine: Engine = _make(TABLE[name], weights, **({"compiles": True} if compiles else {}))
    return engine


def load_upscaler(name: str, weights: str | None = None) -> Upscaler:
    """Import and make the upscaler `name`, a key of UPSCALERS; see `load`."""
    upscaler: Upscaler = _make(UPSCALERS[name], weights)
    return upscaler


def _make(place: str, weights: str | None, **how: bool) -> Any:
    module, _, kind = place.partition(":")
    try:
        made = getattr(import_module(module), kind)
    except ModuleNotFoundError as error:
        raise ValueError(f"{error}: install what it needs with pip install 'nijika[worker]'.") from error
    return made(weights, **how)
