"""Chooses between the key and GrabCut, works on a reduced copy, and brings the result back to full size."""

from collections.abc import Sequence

import cv2
import numpy as np

from worker.engines.classic import backdrop, guided, key, segments
from worker.pixels import Bytes

SIDE_SMALLEST = 8
KEY_SIDE = 1600
SEGMENTS_SIDE = 1024


class Classic:
    """Keys out plain and smoothly shaded backdrops well; elsewhere GrabCut guesses from border and centre."""

    name = "classic"
    quality = (
        "Good where the backdrop is plain or a smooth gradient and differs from the object; "
        "on all other pictures a guess of demo quality."
    )
    resolutions: tuple[int, ...] = ()
    pixels_together = 0  # it works on one picture after the other anyway

    def __init__(self, weights: str | None = None, *, compiles: bool = False) -> None:
        unused = {"weights": weights, "compile": compiles}
        for option in (name for name, given in unused.items() if given):
            raise ValueError(f'The engine "classic" has no use for --{option}. Leave it out, or choose another engine.')

    def view(self, rgb: Bytes, resolution: int | None) -> Bytes:
        """Return `rgb` (H, W, 3) uint8 with its longer side at most KEY_SIDE."""
        del resolution
        return _reduced(rgb, KEY_SIDE)

    def alphas(self, views: Sequence[Bytes]) -> Sequence[Bytes]:
        """Take (h, w, 3) uint8 and return (h', w') uint8; the same picture always gets the same answer.

        Where nothing stands out - one colour all over, or hardly any pixels - nothing is foreground: all zeros.
        """
        return [_alpha(view) for view in views]

    def enlarge(self, alpha: Bytes, view: Bytes, rgb: Bytes) -> Bytes:
        """Return `alpha` at the size of `rgb` (H, W, 3) uint8, its edges along those of the picture: (H, W) uint8."""
        if alpha.shape == rgb.shape[:2]:
            return alpha
        if alpha.shape != view.shape[:2]:
            view = _reduced(view, max(alpha.shape))
        plane = alpha.astype(np.float32) / np.float32(255)
        return _bytes(guided.enlarge(plane, view, rgb))

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


def _alpha(view: Bytes) -> Bytes:
    if min(view.shape[:2]) < SIDE_SMALLEST:
        return np.zeros(view.shape[:2], np.uint8)
    plain = backdrop.find(view)
    if plain is not None:
        return _bytes(key.alpha(view, plain))
    return _bytes(segments.alpha(_reduced(view, SEGMENTS_SIDE)))


def _reduced(rgb: Bytes, side: int) -> Bytes:
    height, width = rgb.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _bytes(alpha: guided.Plane) -> Bytes:
    return cv2.convertScaleAbs(np.maximum(alpha, 0, out=alpha), alpha=255).astype(np.uint8, copy=False)
