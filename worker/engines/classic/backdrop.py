"""Finds out whether the border of a picture shows a plain backdrop, and what that looks like behind the object."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.engines.classic.guided import Plane
from worker.pixels import Bytes

ROUNDS = 6
SAMPLES_MAX = 6_000
SAMPLES_LEAST = 50
REFINEMENTS = 3
SHARE_NEEDED = 0.6
SIGMA_MAX = 5.0
TOLERANCE_LEAST, TOLERANCE_MOST = 4.0, 12.0


@dataclass(frozen=True)
class Backdrop:
    """`lab` and `expected`, (H, W, 3) float32, CIE L*a*b*: the picture and what would be there without an object.

    `tolerance` is the distance up to which a pixel still counts as backdrop; `sigma` the noise, both in Lab units.
    """

    lab: Plane
    expected: Plane
    sigma: float
    tolerance: float


def find(rgb: Bytes) -> Backdrop | None:
    """Fit a smooth surface to the border of `rgb` (H, W, 3) uint8; None where too little of the border lies on one.

    The object may cover a good part of the border: besides all of it, the border without each of its sides is tried.
    """
    lab = cv2.cvtColor(cv2.GaussianBlur(rgb, (3, 3), 0).astype(np.float32) / 255, cv2.COLOR_RGB2Lab).astype(np.float32)
    rows, columns, sides = _border(*rgb.shape[:2])
    terms, colours = _terms(rows, columns, *rgb.shape[:2]), lab[rows, columns]
    starts = [np.ones(len(sides), bool), *(sides != side for side in range(4))]
    fits = [_fit(terms, colours, start) for start in starts if start.any()]
    weights, sigma, share = max(fits, key=lambda fit: fit[2] - fit[1] / 50)
    if share < SHARE_NEEDED or sigma > SIGMA_MAX:
        return None
    tolerance = float(np.clip(3 * sigma + 2, TOLERANCE_LEAST, TOLERANCE_MOST))
    for _ in range(REFINEMENTS):
        weights = _refined(weights, lab, tolerance)
    return Backdrop(lab, _surface(weights, *rgb.shape[:2]), sigma, tolerance)


def _refined(weights: Plane, lab: Plane, tolerance: float) -> Plane:
    # From the border alone the surface is least sure in the middle; backdrop inside, found with its help, steadies it.
    height, width = lab.shape[:2]
    step = max(1, round((height * width / SAMPLES_MAX) ** 0.5))
    rows, columns = (part.ravel() for part in np.mgrid[:height:step, :width:step])
    terms, colours = _terms(rows, columns, height, width), lab[rows, columns]
    near = np.linalg.norm(colours - terms @ weights, axis=1) < 1.5 * tolerance
    return _least_squares(terms[near], colours[near]) if near.sum() > SAMPLES_LEAST else weights


def _fit(terms: Plane, colours: Plane, inside: NDArray[np.bool_]) -> tuple[Plane, float, float]:
    # Least squares, again and again without the outliers; the last measure is the share of the whole border that fits.
    weights = np.zeros((terms.shape[1], 3), np.float32)
    sigma = 0.0
    for _ in range(ROUNDS):
        weights = _least_squares(terms[inside], colours[inside])
        distance = np.linalg.norm(colours - terms @ weights, axis=1)
        sigma = float(1.2 * np.median(distance[inside])) + 0.1
        nearer = distance < max(2.5 * sigma, 2.0)
        if nearer.sum() < terms.shape[1] * 4:
            break
        inside = nearer
    return weights, sigma, float(inside.mean())


def _least_squares(terms: Plane, colours: Plane) -> Plane:
    # A little damping keeps the curved terms small where a side is missing.
    damping = np.diag([0, 1e-5, 1e-5, 1e-3, 1e-3, 1e-3]).astype(np.float64) * len(terms)
    left = terms.T.astype(np.float64) @ terms + damping
    return np.linalg.solve(left + 1e-9 * np.eye(len(left)), terms.T.astype(np.float64) @ colours).astype(np.float32)


def _border(height: int, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    thick = max(1, min(16, round(min(height, width) * 0.02)))
    rows, columns = np.mgrid[:height, :width]
    depths = np.stack([rows, height - 1 - rows, columns, width - 1 - columns])
    near = depths.min(axis=0) < thick
    step = max(1, int(near.sum()) // SAMPLES_MAX)
    return rows[near][::step], columns[near][::step], depths.argmin(axis=0)[near][::step]


def _terms(rows: NDArray[np.intp], columns: NDArray[np.intp], height: int, width: int) -> Plane:
    y, x = rows / height * 2 - 1, columns / width * 2 - 1
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1).astype(np.float32)


def _surface(weights: Plane, height: int, width: int) -> Plane:
    y = (np.arange(height, dtype=np.float32) / height * 2 - 1)[:, None, None]
    x = (np.arange(width, dtype=np.float32) / width * 2 - 1)[None, :, None]
    one, along, down, along2, down2, both = weights
    surface: Plane = one + x * (along + along2 * x) + y * (down + down2 * y + both * x)
    return surface
