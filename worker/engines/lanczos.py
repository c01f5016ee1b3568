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

    def cut(self, rgb: Bytes, model: str) -> Sequence[Bytes]:
        """No tiles: nothing here needs the device."""
        del rgb, model
        return ()

    def enlarge(self, tiles: Sequence[Bytes], model: str, denoise: float | None) -> Sequence[Bytes]:
        """Nothing was cut, and nothing is to be enlarged."""
        del model, denoise
        return tiles

    def join(self, tiles: Sequence[Bytes], rgb: Bytes, model: str, size: tuple[int, int]) -> Bytes:
        """Resample `rgb` (H, W, 3) uint8 to `size` (width, height)."""
        del tiles, model
        return cv2.resize(rgb, size, interpolation=cv2.INTER_LANCZOS4).astype(np.uint8, copy=False)

    def warm_up(self) -> None:
        """Nothing is slow at first."""

    def is_out_of_memory(self, error: Exception) -> bool:
        """Nothing here fills a device."""
        del error
        return False
