"""The colours of soft edges without what was behind them: blur fusion, twice.

M. Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021 (https://doi.org/10.1109/ICIP42928.2021.9506164).
The blurs, which are smooth anyway, are made at a quarter of the size; the formula runs on soft pixels alone.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from worker import layout
from worker.pixels import OPAQUE, Bytes

REACHES = (90, 6)  # sides of the two blurs in pixels of the whole picture, as in the paper
PART = 4
TINY = 1e-4
COLUMNS = 4096  # the pixels are looked up in rows of so many: cv2.remap takes no side longer than 32,767

Plane = NDArray[np.float32]
Places = NDArray[np.int32]


@dataclass(frozen=True)
class _Blurred:
    """Foreground and background around each place, (h, w, 3) float32 0..255, at a quarter of the size."""

    foreground: Plane
    background: Plane


def clean(rgb: Bytes, alpha: Bytes) -> Bytes:
    """Return `rgb` (H, W, 3) uint8 with the foreground's own colour wherever `alpha` (H, W) uint8 is neither 0 nor 255.

    All other pixels stay as they are; nothing is changed in place.
    """
    rows, columns = soft_places(alpha)
    if not len(rows):
        return rgb
    height, width = alpha.shape
    window = _around(rows[0], rows[-1], height), _around(columns.min(), columns.max(), width)
    around = _fused(rgb[window], alpha[window])
    share = (alpha[rows, columns, None] / np.float32(OPAQUE)).astype(np.float32, copy=False)
    places = rows - window[0].start, columns - window[1].start
    foreground = _looked_up(around.foreground, *places, rgb[window].shape)
    background = _looked_up(around.background, *places, rgb[window].shape)
    own = _own(rgb[rows, columns].astype(np.float32), share, foreground, background)
    cleaned = rgb.copy()
    cleaned[rows, columns] = np.rint(own).astype(np.uint8)
    return cleaned


def soft_places(alpha: Bytes) -> tuple[Places, Places]:
    """Rows and columns, (N,) each, where `alpha` (H, W) uint8 is neither 0 nor 255."""
    places = cv2.findNonZero(cv2.inRange(alpha, 1, OPAQUE - 1))
    if places is None:
        return np.zeros(0, np.int32), np.zeros(0, np.int32)
    columns, rows = places.reshape(-1, 2).T.astype(np.int32)
    return rows, columns


def spread(rgb: Bytes, alpha: Bytes) -> Bytes:
    """Return `rgb` with the colours of the foreground drawn out into what `alpha` hides altogether; beyond, black.

    For files that keep colour and alpha apart and compress the colour: it neither frays nor tells what was there.
    """
    visible = cv2.threshold(alpha, 0, OPAQUE, cv2.THRESH_BINARY)[1].astype(np.uint8, copy=False)
    # Blacked out before it is averaged: next to an edge the hidden would come through.
    result = cv2.bitwise_and(rgb, rgb, mask=visible).astype(np.uint8, copy=False)
    left, top, width, height = cv2.boundingRect(visible)
    if not width:
        return result
    window = _around(top, top + height, len(rgb)), _around(left, left + width, rgb.shape[1])
    part = result[window]
    around = _ratio(*_quarter(part, visible[window]), REACHES[0]).astype(np.uint8)
    around = cv2.resize(around, part.shape[1::-1], interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
    result[window] = cv2.copyTo(part, visible[window], around)
    return result


def _around(first: int, last: int, whole: int) -> slice:
    """All that the blurs of these rows or columns can see, in whole parts: those are quick to make small."""
    reach = sum(REACHES)
    return slice(max(0, first - reach) // PART * PART, min(whole, -(-(last + reach) // PART) * PART))


def _fused(rgb: Bytes, alpha: Bytes) -> _Blurred:
    picture, share = _quarter(rgb, alpha)
    foreground, background = picture, picture
    for reach in REACHES:
        if background is not picture:
            foreground = _own(picture, share[..., None], foreground, background)
        foreground, background = _mean(foreground, share, reach), _mean(background, 1 - share, reach)
    return _Blurred(foreground, background)


def _quarter(rgb: Bytes, alpha: Bytes) -> tuple[Plane, Plane]:
    size = (max(1, rgb.shape[0] // PART), max(1, rgb.shape[1] // PART))
    share = layout.scaled(alpha, size) / np.float32(OPAQUE)
    return layout.scaled(rgb, size).astype(np.float32), share.astype(np.float32, copy=False)


def _mean(colours: Plane, weights: Plane, reach: int) -> Plane:
    # Where hardly anything weighs, a colour is its own mean.
    return _ratio(colours * (weights[..., None] + np.float32(TINY)), weights, reach)


def _ratio(weighted: Plane, weights: Plane, reach: int) -> Plane:
    side = (max(3, reach // PART | 1),) * 2
    total = cv2.blur(weights, side, borderType=cv2.BORDER_REPLICATE)[..., None] + np.float32(TINY)
    ratio: Plane = (cv2.blur(weighted, side, borderType=cv2.BORDER_REPLICATE) / total).astype(np.float32, copy=False)
    return ratio


def _own(picture: Plane, share: Plane, foreground: Plane, background: Plane) -> Plane:
    # What the two blurs do not explain goes to the foreground, by its share.
    rest = picture - share * foreground - (1 - share) * background
    own: Plane = np.clip(foreground + share * rest, 0, OPAQUE).astype(np.float32, copy=False)
    return own


def _looked_up(plane: Plane, rows: Places, columns: Places, shape: tuple[int, ...]) -> Plane:
    """`plane` (h, w, 3), drawn up to `shape` (H, W, …), at those places only: (N, 3)."""
    count = len(rows)
    padded = -(-count // COLUMNS) * COLUMNS
    x, y = (
        np.resize((line + np.float32(0.5)) * np.float32(small / whole) - np.float32(0.5), padded).reshape(-1, COLUMNS)
        for line, small, whole in ((columns, plane.shape[1], shape[1]), (rows, plane.shape[0], shape[0]))
    )
    found = cv2.remap(
        plane, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return found.reshape(-1, 3)[:count].astype(np.float32, copy=False)
