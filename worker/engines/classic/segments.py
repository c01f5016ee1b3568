"""GrabCut (Rother, Kolmogorov, Blake 2004), started from what is unlike the border and near the centre."""

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.engines.classic import guided
from worker.engines.classic.guided import Plane
from worker.pixels import Bytes

SIDE = 384
ROUNDS = 5
BORDER_COLOURS = 8
SEED = 1
SHARE_FULL, HANDICAP = 0.1, 100
NEAR = 0.6
AREA_LEAST = 0.01
PIECE_SHARE = 0.15
HOLE_SHARE = 0.003

Labels = NDArray[np.uint8]


def alpha(rgb: Bytes) -> Plane:
    """Return a guess at the matte of `rgb` (H, W, 3) uint8: (H, W) float32 0..1, edges along those of the picture."""
    cv2.setRNGSeed(SEED)
    height, width = rgb.shape[:2]
    scale = min(1, SIDE / max(height, width))
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    rough = cv2.resize(_mask(small).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR).astype(
        np.float32
    )
    edges = guided.smooth(rough.astype(np.float32), rgb, radius=max(2, max(height, width) // 128), epsilon=1e-3)
    # A matte in between is an edge; a veil over background and object is not.
    sharper: Plane = np.clip((edges - 0.2) / 0.6, 0, 1).astype(np.float32)
    return sharper


def _mask(small: Bytes) -> Labels:
    nearness = _nearness(*small.shape[:2])
    score = _unlike_border(small) * nearness
    level = (score / max(float(score.max()), 1e-6) * 255).astype(np.uint8)
    threshold, _ = cv2.threshold(level, 0, 255, cv2.THRESH_OTSU)
    mask = _largest(_cut(small, level > threshold))
    if mask.mean() >= AREA_LEAST:
        return mask
    # An object that reaches over the border hides among its colours; then the middle is the better guess.
    return _largest(_cut(small, nearness > NEAR))


def _nearness(height: int, width: int) -> Plane:
    y, x = np.mgrid[:height, :width]
    from_centre = np.hypot((x + 0.5) / width * 2 - 1, (y + 0.5) / height * 2 - 1)
    nearness: Plane = np.exp(-((from_centre / 0.9) ** 2)).astype(np.float32)
    return nearness


def _unlike_border(small: Bytes) -> Plane:
    # The border in a few colours. The bottom is left out: people and tall things are cut off there.
    lab = cv2.cvtColor(cv2.GaussianBlur(small, (5, 5), 0).astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    thick = max(1, min(small.shape[:2]) // 20)
    upper = lab[: max(1, len(lab) * 9 // 10)]
    border = np.concatenate([part.reshape(-1, 3) for part in (lab[:thick], upper[:, :thick], upper[:, -thick:])])
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    count = min(BORDER_COLOURS, len(border))
    _, nearest, centres = cv2.kmeans(
        border.astype(np.float32), count, np.zeros((0, 1), np.int32), stop, 2, cv2.KMEANS_PP_CENTERS
    )
    # A colour with hardly a share in the border may well be the object's: it counts as farther away.
    shares = np.bincount(nearest.ravel().astype(np.intp), minlength=count) / len(border)
    handicaps = np.maximum(0, SHARE_FULL - shares) * HANDICAP
    distances = [
        np.linalg.norm(lab - centre, axis=2) + handicap for centre, handicap in zip(centres, handicaps, strict=True)
    ]
    nearest_distance: Plane = np.min(distances, axis=0).astype(np.float32)
    return nearest_distance


def _cut(small: Bytes, likely: NDArray[np.bool_]) -> Labels:
    labels = np.where(likely, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    rim = max(1, min(labels.shape) // 100)
    inner = np.zeros(labels.shape, bool)
    inner[rim:, rim:-rim] = True
    labels[~inner & ~likely] = cv2.GC_BGD
    if likely.any() and not likely.all():
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(
            cv2.cvtColor(small, cv2.COLOR_RGB2BGR), labels, (0, 0, 0, 0), *models, ROUNDS, cv2.GC_INIT_WITH_MASK
        )
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)


def _largest(mask: Labels) -> Labels:
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    closed = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    kept = areas > PIECE_SHARE * areas.max()
    return _filled(kept[labels].astype(np.uint8))


def _filled(mask: Labels) -> Labels:
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    holes = [contour for contour in contours if cv2.contourArea(contour) < HOLE_SHARE * mask.size]
    return cv2.drawContours(mask.copy(), holes, -1, 1, cv2.FILLED).astype(np.uint8, copy=False)
