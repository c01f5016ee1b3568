"""Chooses between the key and GrabCut, works on a reduced copy, and brings the result back to full size."""

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

    def alpha(self, rgb: Bytes) -> Bytes:
        """Take (H, W, 3) uint8 and return (H, W) uint8; the same picture always gets the same answer.

        Where nothing stands out - one colour all over, or hardly any pixels - nothing is foreground: all zeros.
        """
        if min(rgb.shape[:2]) < SIDE_SMALLEST:
            return np.zeros(rgb.shape[:2], np.uint8)
        small = _reduced(rgb, KEY_SIDE)
        plain = backdrop.find(small)
        if plain is not None:
            return _full_size(rgb, small, key.alpha(small, plain))
        small = _reduced(rgb, SEGMENTS_SIDE)
        return _full_size(rgb, small, segments.alpha(small))


def _reduced(rgb: Bytes, side: int) -> Bytes:
    height, width = rgb.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _full_size(rgb: Bytes, small: Bytes, alpha: guided.Plane) -> Bytes:
    if small is not rgb:
        alpha = guided.enlarge(alpha, small, rgb)
    return cv2.convertScaleAbs(np.maximum(alpha, 0, out=alpha), alpha=255).astype(np.uint8, copy=False)
