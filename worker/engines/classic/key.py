"""The soft key: what differs from a plain backdrop is foreground, shadows on the backdrop are not."""

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.engines.classic.backdrop import Backdrop
from worker.engines.classic.guided import Plane
from worker.pixels import Bytes

Mask = NDArray[np.bool_]

SPECK_SHARE = 0.0004
HOLE_SHARE = 0.0008
SHADOW_DARKEST = 0.3
CONTACT_PART = 120
EDGE_PIXELS = 2


def alpha(rgb: Bytes, plain: Backdrop) -> Plane:
    """Return the matte of `rgb` (H, W, 3) uint8 before `plain`: (H, W) float32 0..1, with soft edges."""
    distance = np.linalg.norm(plain.lab - plain.expected, axis=2).astype(np.float32)
    near = distance < plain.tolerance
    dimmed = _dimmed(plain)
    gentle = _steepness(distance) < max(2.5, 2 * plain.sigma)
    passable, border = near | (dimmed & gentle), _border(near.shape)
    holes = _holes(near & ~_touching(passable, border), distance, plain)
    outside = _touching(passable, border | holes)
    outside |= _fringe(dimmed & ~outside, outside, max(rgb.shape[:2]) // CONTACT_PART)
    foreground = _without_specks(~outside)
    return _soft(foreground, distance, plain.tolerance)


def _dimmed(plain: Backdrop) -> Mask:
    # A shadow darkens the backdrop without changing its hue; it grows gently, where an object of that hue has an edge.
    ratio = plain.lab[..., 0] / np.maximum(plain.expected[..., 0], 1)
    hue = np.linalg.norm(plain.lab[..., 1:] - plain.expected[..., 1:] * ratio[..., None], axis=2)
    dimmed: Mask = (ratio < 1) & (ratio > SHADOW_DARKEST) & (hue < max(3.5, plain.tolerance * 0.8))
    return dimmed


def _fringe(dimmed: Mask, outside: Mask, thickness: int) -> Mask:
    # Right under an object its shadow is steep: a thin line along the outside. A grey object is thick.
    size = 2 * max(1, thickness) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    thick = cv2.morphologyEx(dimmed.astype(np.uint8), cv2.MORPH_OPEN, kernel).astype(bool)
    thin = dimmed & ~_grown(thick, 2)
    below = np.zeros_like(outside)
    below[: -thickness or None] = outside[thickness:]
    return _touching(thin, _grown(outside, 1)) & _grown(below, thickness)


def _steepness(distance: Plane) -> Plane:
    soft = cv2.GaussianBlur(distance, (5, 5), 0)
    across, down = cv2.Sobel(soft, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(soft, cv2.CV_32F, 0, 1, scale=0.125)
    return cv2.magnitude(across, down).astype(np.float32, copy=False)


def _border(shape: tuple[int, ...]) -> Mask:
    border = np.ones(shape, bool)
    border[1:-1, 1:-1] = False
    return border


def _touching(mask: Mask, place: Mask) -> Mask:
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    touching = np.zeros(count, bool)
    touching[labels[place]] = True
    touching[0] = False
    found: Mask = touching[labels]
    return found


def _holes(enclosed: Mask, distance: Plane, plain: Backdrop) -> Mask:
    # Backdrop seen through the object is exactly like the backdrop and ends sharply; a highlight or a pale patch fades.
    count, labels, stats, _ = cv2.connectedComponentsWithStats(enclosed.astype(np.uint8), connectivity=4)
    holes = np.zeros_like(enclosed)
    for label in range(1, count):
        left, top, width, height, area = (int(value) for value in stats[label])
        if area < HOLE_SHARE * enclosed.size:
            continue
        window = np.s_[max(0, top - 4) : top + height + 4, max(0, left - 4) : left + width + 4]
        hole = labels[window] == label
        rim = _grown(hole, 4) & ~_grown(hole, 2)
        if (
            _median(distance[window][hole]) < plain.tolerance / 2
            and _median(distance[window][rim]) > 2.5 * plain.tolerance
        ):
            holes[window] |= hole
    return holes


def _median(values: Plane) -> float:
    return float(np.median(values)) if values.size else 0.0


def _without_specks(foreground: Mask) -> Mask:
    opened = cv2.morphologyEx(foreground.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    kept: Mask = (areas > max(SPECK_SHARE * foreground.size, 0.01 * areas.max()))[labels]
    # What the opening cut off - thin stems, fine tips - comes back where it hangs on something that is kept.
    return foreground & _grown(kept, 2)


def _grown(mask: Mask, pixels: int) -> Mask:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return cv2.dilate(mask.astype(np.uint8), kernel).astype(bool)


def _soft(foreground: Mask, distance: Plane, tolerance: float) -> Plane:
    # Along the edge a pixel is as opaque as it is far from the backdrop, against how far the object behind it is.
    core = ~_grown(~foreground, EDGE_PIXELS)
    band = _grown(foreground, 1) & ~core
    behind = cv2.dilate(np.where(foreground, distance, 0).astype(np.float32), np.ones((7, 7), np.uint8))
    low = tolerance / 2
    ratio = (distance - low) / np.maximum(behind * 0.9 - low, 1)
    return np.where(core, 1, np.where(band, np.clip(ratio, 0, 1), 0)).astype(np.float32)
