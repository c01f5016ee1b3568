"""Cuts a picture into overlapping tiles of few fixed shapes, so that any pictures' tiles go together; joins them."""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np

from worker.pixels import Bytes

SIDES = (64, 128, 256)
"""The sides that a tile may have, in pixels; all even, as the fold of scale 2 needs."""
OVERLAP = 32
"""How many pixels neighbouring tiles share at least; each keeps its own half of them."""


def cut(rgb: Bytes) -> list[Bytes]:
    """Cut (H, W, 3) uint8 into tiles of one shape, row by row.

    They lie inside the picture, evenly spread. Where it is smaller than a tile, and to an odd side, its last pixels
    are repeated.
    """
    (high, tops), (wide, lefts) = (_places(side) for side in rgb.shape[:2])
    below, beside = tops[-1] + high - rgb.shape[0], lefts[-1] + wide - rgb.shape[1]
    padded = np.pad(rgb, ((0, below), (0, beside), (0, 0)), mode="edge") if below or beside else rgb
    return [np.ascontiguousarray(padded[top : top + high, left : left + wide]) for top in tops for left in lefts]


def join(tiles: Sequence[Bytes], height: int, width: int, scale: int) -> Bytes:
    """Put the tiles of a picture (height, width), each enlarged by `scale`, together: (scale H, scale W, 3) uint8."""
    (high, tops), (wide, lefts) = _places(height), _places(width)
    joined = np.empty((height * scale, width * scale, 3), np.uint8)
    pieces = iter(tiles)
    for top, first_row, last_row in _kept(tops, high, height):
        for left, first_column, last_column in _kept(lefts, wide, width):
            rows, columns = slice(first_row * scale, last_row * scale), slice(first_column * scale, last_column * scale)
            inside = next(pieces)[
                (first_row - top) * scale : (last_row - top) * scale,
                (first_column - left) * scale : (last_column - left) * scale,
            ]
            joined[rows, columns] = inside
    return joined


def resize(pixels: Bytes, size: tuple[int, int]) -> Bytes:
    """Bring pixels (H, W) or (H, W, 3) uint8 to `size` (width, height): Lanczos where it grows, else averaged.

    A picture's alpha is enlarged by this alone: a network for photographs would draw into it.
    """
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    grows = size[0] * size[1] > pixels.shape[0] * pixels.shape[1]
    filtering = cv2.INTER_LANCZOS4 if grows else cv2.INTER_AREA
    return cv2.resize(pixels, size, interpolation=filtering).astype(np.uint8, copy=False)


def _places(side: int) -> tuple[int, list[int]]:
    """The side of the tiles along one axis of `side` pixels, and where they begin: always at an even pixel."""
    side += side % 2
    tile = next((length for length in SIDES if length >= side), SIDES[-1])
    steps = -(-max(0, side - tile) // (tile - OVERLAP - 2))
    return tile, [2 * (number * (side - tile) // (2 * max(1, steps))) for number in range(steps + 1)]


def _kept(begins: list[int], tile: int, side: int) -> list[tuple[int, int, int]]:
    """For each tile along one axis: where it begins, and from where to where it is kept."""
    seams = [(begin + tile + following) // 2 for begin, following in pairwise(begins)]
    return list(zip(begins, [0, *seams], [*seams, side], strict=True))
