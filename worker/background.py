"""What a cut-out is laid on: a colour or another picture, opaque or not."""

import cv2
import numpy as np

from worker import foreground, layout, profiles
from worker.pixels import OPAQUE, Bytes, Picture

Colour = tuple[int, int, int, int]
"""Red, green, blue and opacity, each 0..255."""

WHITE: Colour = (255, 255, 255, 255)
ROWS = 256  # worked on at a time, so that in floats it never needs much memory


def plain(colour: Colour, size: tuple[int, int]) -> Picture:
    """A picture of one colour, of `size` (height, width)."""
    *rgb, opacity = colour
    alpha = None if opacity == OPAQUE else np.full(size, opacity, np.uint8)
    return Picture(np.full((*size, 3), rgb, np.uint8), alpha, None)


def covering(picture: Picture, size: tuple[int, int]) -> Picture:
    """The middle of `picture`, scaled so that it fills `size` (height, width)."""
    alpha = None if picture.alpha is None else layout.cover(picture.alpha, size)
    return Picture(layout.cover(picture.rgb, size), alpha, picture.icc)


def in_srgb(picture: Picture) -> Picture:
    """`picture` in the colours that a picture without a profile has: two can only be mixed in the same ones."""
    return Picture(profiles.in_srgb(picture.rgb, picture.icc), picture.alpha, None)


def laid(picture: Picture, behind: Picture) -> Picture:
    """`picture` over `behind`, both of one size (Porter and Duff 1984, "over"); alpha is None where that is opaque.

    What is not white wants both `in_srgb` before; the profile of the one in front stays.
    """
    if picture.alpha is None:
        return picture
    if behind.alpha is None:
        return Picture(_on_opaque(picture.rgb, picture.alpha, behind.rgb), None, picture.icc)
    rgb, alpha = np.empty_like(picture.rgb), np.empty_like(picture.alpha)
    for start in range(0, len(rgb), ROWS):
        rows = slice(start, start + ROWS)
        front = picture.alpha[rows, :, None] / np.float32(OPAQUE)
        back = behind.alpha[rows, :, None] / np.float32(OPAQUE) * (1 - front)
        mixed = (picture.rgb[rows] * front + behind.rgb[rows] * back) / np.maximum(front + back, np.float32(1e-6))
        rgb[rows] = np.rint(np.clip(mixed, 0, OPAQUE))
        alpha[rows] = np.rint((front + back)[..., 0] * OPAQUE)
    return Picture(rgb, alpha, picture.icc)


def _on_opaque(rgb: Bytes, alpha: Bytes, behind: Bytes) -> Bytes:
    result = cv2.copyTo(rgb, alpha, behind.copy()).astype(np.uint8, copy=False)
    rows, columns = foreground.soft_places(alpha)
    share = alpha[rows, columns, None] / np.float32(OPAQUE)
    result[rows, columns] = np.rint(rgb[rows, columns] * share + behind[rows, columns] * (1 - share))
    return result
