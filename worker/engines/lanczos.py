"""The upscaler without weights: Lanczos resampling, which invents nothing."""

from collections.abc import Sequence

import cv2
import numpy as np

from worker.pixels import Bytes


class Lanczos:
    """Enlarges by a Lanczos kernel over 8 x 8 pixels (OpenCV's INTER_LANCZOS4), beside the device."""

    name = "lanczos"
    quality = "Smooth and faithful: no detail is added, and noise is enlarged with the rest."
    models: tuple[str, ...] = ("lanczos",)
    denoising: frozenset[str] = frozenset()
    pixels_together = 0

    def __init__(self, weights: str | None = None) -> None:
        if weights:
            raise ValueError('The upscaler "lanczos" has no use for weights. Leave --upscaler-weights out.')

    def pixels_made(self, width: int, height: int, model: str, scale: float) -> int:
        """Those of the result: it is drawn at once."""
        del model
        return round(width * scale) * round(height * scale)

    def cut(self, rgb: Bytes, model: str) -> Sequence[Bytes]:
        """No tiles: nothing here needs the device."""
        del rgb, model
        return ()

    def enlarge(self, tiles: Sequence[Bytes], model: str, denoise: float | None) -> Sequence[Bytes]:
        """Nothing was cut, and nothing is to be enlarged."""
        del model, denoise
        return tiles

    def canvas(self, rgb: Bytes, model: str) -> "Whole":
        """The picture `rgb` (H, W, 3) uint8 in one piece."""
        del model
        return Whole(rgb)

    def warm_up(self) -> None:
        """Nothing is slow at first."""

    def is_out_of_memory(self, error: Exception) -> bool:
        """Nothing here fills a device."""
        del error
        return False

    def is_lost(self, error: Exception) -> bool:
        """Nothing here breaks a device."""
        del error
        return False


class Whole:
    """A picture `rgb` (H, W, 3) uint8 that needs no tiles."""

    def __init__(self, rgb: Bytes) -> None:
        self._rgb = rgb

    def add(self, tiles: Sequence[Bytes]) -> None:
        """None were cut."""

    def finished(self, size: tuple[int, int]) -> Bytes:
        """Resample the picture to `size` (width, height): (H', W', 3) uint8."""
        return cv2.resize(self._rgb, size, interpolation=cv2.INTER_LANCZOS4).astype(np.uint8, copy=False)
