"""Cuts a picture into overlapping tiles of few fixed shapes, so that any pictures' tiles go together; joins them."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import cv2
import numpy as np

from worker.pixels import Bytes

SIDES = (64, 128, 256)
"""The sides that a tile may have, in pixels; all even, as the fold of scale 2 needs."""
OVERLAP = 32
"""How many pixels neighbouring tiles share at least; each keeps its own half of them."""


def cut(rgb: Bytes) -> Iterator[Bytes]:
    """Cut (H, W, 3) uint8 into tiles of one shape, row by row, each when it is asked for.

    They lie inside the picture, evenly spread. Where it is smaller than a tile, and to an odd side, its last pixels
    are repeated.
    """
    (high, tops), (wide, lefts) = (_places(side) for side in rgb.shape[:2])
    for top in tops:
        for left in lefts:
            tile = rgb[top : top + high, left : left + wide]
            missing = ((0, high - tile.shape[0]), (0, wide - tile.shape[1]), (0, 0))
            yield np.ascontiguousarray(np.pad(tile, missing, mode="edge") if tile.shape[:2] != (high, wide) else tile)


class Canvas:
    """Where the tiles of a picture (height, width), each enlarged by `scale`, are put together as they come."""

    def __init__(self, height: int, width: int, scale: int) -> None:
        self._joined: Bytes = np.empty((height * scale, width * scale, 3), np.uint8)
        self._scale = scale
        (high, tops), (wide, lefts) = _places(height), _places(width)
        columns = _kept(lefts, wide, width)
        self._places = ((row, column) for row in _kept(tops, high, height) for column in columns)

    def add(self, tiles: Sequence[Bytes]) -> None:
        """Copy the part that is kept of each of the next tiles (scale h, scale w, 3) uint8, in the order of `cut`."""
        for tile, ((top, first_row, last_row), (left, first_column, last_column)) in zip(
            tiles, self._places, strict=False
        ):
            whole = self._slice(first_row, last_row), self._slice(first_column, last_column)
            self._joined[whole] = tile[
                self._slice(first_row - top, last_row - top), self._slice(first_column - left, last_column - left)
            ]

    def finished(self, size: tuple[int, int]) -> Bytes:
        """The whole at `size` (width, height): (H', W', 3) uint8."""
        return resize(self._joined, size)

    def _slice(self, first: int, last: int) -> slice:
        return slice(first * self._scale, last * self._scale)


def resize(pixels: Bytes, size: tuple[int, int]) -> Bytes:
    """Bring colours (H, W, 3) uint8 to `size` (width, height): Lanczos where they grow, else averaged."""
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
