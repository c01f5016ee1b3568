"""The guided filter (He, Sun, Tang 2010) and its fast form (He, Sun 2015): mattes follow the picture's edges."""

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.pixels import Bytes

Plane: TypeAlias = NDArray[np.float32]


def smooth(alpha: Plane, rgb: Bytes, radius: int, epsilon: float) -> Plane:
    """Return `alpha` (H, W) 0..1 redrawn along the edges of `rgb` (H, W, 3); the larger `epsilon`, the softer."""
    guide = _grey(rgb)
    slope, offset = _fit(alpha, guide, radius, epsilon)
    redrawn: Plane = np.clip(slope * guide + offset, 0, 1).astype(np.float32, copy=False)
    return redrawn


def enlarge(alpha: Plane, small: Bytes, rgb: Bytes) -> Plane:
    """Return `alpha`, (h, w) 0..1 beside `small` (h, w, 3), at the size of `rgb` (H, W, 3), and as sharp.

    Only where the matte is neither 0 nor 1 all around does the picture speak; a flat matte stays flat.
    """
    size = (rgb.shape[1], rgb.shape[0])
    slope, offset = _fit(alpha, _grey(small), radius=2, epsilon=1e-4)
    guide = _grey(rgb)
    guide *= cv2.resize(slope, size, interpolation=cv2.INTER_LINEAR)
    guide += cv2.resize(offset, size, interpolation=cv2.INTER_LINEAR)
    # The filter leaves a faint veil on what was sure; where the matte says 0 or 1 without doubt, it is believed.
    around = np.ones((5, 5), np.uint8)
    np.maximum(guide, cv2.resize(cv2.erode(alpha, around), size, interpolation=cv2.INTER_LINEAR), out=guide)
    np.minimum(guide, cv2.resize(cv2.dilate(alpha, around), size, interpolation=cv2.INTER_LINEAR), out=guide)
    return guide


def _grey(rgb: Bytes) -> Plane:
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / np.float32(255)


def _fit(alpha: Plane, guide: Plane, radius: int, epsilon: float) -> tuple[Plane, Plane]:
    mean_guide, mean_alpha = _mean(guide, radius), _mean(alpha, radius)
    covariance = _mean(guide * alpha, radius) - mean_guide * mean_alpha
    variance = _mean(guide * guide, radius) - mean_guide * mean_guide
    slope = (covariance / (np.maximum(variance, 0) + epsilon)).astype(np.float32, copy=False)
    return _mean(slope, radius), _mean(mean_alpha - slope * mean_guide, radius)


def _mean(plane: Plane, radius: int) -> Plane:
    return cv2.boxFilter(plane, -1, (2 * radius + 1, 2 * radius + 1)).astype(np.float32, copy=False)
