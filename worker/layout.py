"""Where things lie in a picture: regions and margins in pixels or per cent, sizes in megapixels."""

import math
import re
from dataclasses import dataclass

import cv2
import numpy as np

from worker.options import Option
from worker.pixels import Bytes

MEGAPIXELS = {"auto": math.inf, "preview": 0.25, "medium": 1.5, "hd": 4.0, "full": 25.0}
"""The most that the sizes let through (remove.bg's API reference, parameter `size`); "auto" leaves it as it is."""

MARGIN_SHARE_MAX, MARGIN_PIXELS_MAX = 0.5, 500  # of the object, on each side (the same, `crop_margin`)
EMPTY = 12  # opacity of 255 that is still nothing: 5 %

_SIDES = {1: (0, 0, 0, 0), 2: (0, 1, 0, 1), 4: (0, 1, 2, 3)}  # as in CSS: top, right, bottom, left


@dataclass(frozen=True)
class Length:
    """Pixels, or a share of something."""

    value: float
    is_share: bool

    def of(self, whole: int) -> float:
        """In pixels."""
        return self.value * whole if self.is_share else self.value


@dataclass(frozen=True)
class Box:
    """A rectangle: the pixels from (left, top) up to, and without, (right, bottom)."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def part(self) -> tuple[slice, slice]:
        """What an array (H, W, …) is indexed with."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def scaled(self, before: tuple[int, int], after: tuple[int, int]) -> "Box":
        """The same place after a picture of size `before` (height, width) became `after`; never empty."""
        tall, wide = after[0] / before[0], after[1] / before[1]
        left, top = min(round(self.left * wide), after[1] - 1), min(round(self.top * tall), after[0] - 1)
        return Box(left, top, max(round(self.right * wide), left + 1), max(round(self.bottom * tall), top + 1))


@dataclass(frozen=True)
class Region:
    """Two corners, each in pixels or as shares of width and height."""

    x1: Length
    y1: Length
    x2: Length
    y2: Length

    def within(self, height: int, width: int) -> Box | None:
        """The box inside a picture of that size; None where nothing of it lies inside."""
        xs = sorted(min(max(round(x.of(width)), 0), width) for x in (self.x1, self.x2))
        ys = sorted(min(max(round(y.of(height)), 0), height) for y in (self.y1, self.y2))
        box = Box(xs[0], ys[0], xs[1], ys[1])
        return box if box.left < box.right and box.top < box.bottom else None


@dataclass(frozen=True)
class Margin:
    """Room around an object: top, right, bottom, left."""

    sides: tuple[Length, Length, Length, Length]

    def around(self, box: Box) -> Box:
        """The box with its margin; it may reach out of the picture."""
        height, width = box.bottom - box.top, box.right - box.left
        top, right, bottom, left = (
            round(min(side.of(whole), whole * MARGIN_SHARE_MAX, MARGIN_PIXELS_MAX))
            for side, whole in zip(self.sides, (height, width, height, width), strict=True)
        )
        return Box(box.left - left, box.top - top, box.right + right, box.bottom + bottom)


def region() -> Option:
    """Corners such as "10% 20% 300px 400px"; bare numbers are pixels."""
    takes = 'four lengths "x1 y1 x2 y2" with px or %, such as "0% 10% 100% 90%"'
    return Option(takes, lambda text: Region(*_lengths(text, (4,))))


def margin() -> Option:
    """One, two or four lengths such as "10%" or "10px 5%", on the sides as CSS has it."""

    def read(text: str) -> Margin:
        given = _lengths(text, tuple(_SIDES))
        top, right, bottom, left = (given[place] for place in _SIDES[len(given)])
        return Margin((top, right, bottom, left))

    return Option('one, two or four lengths with px or %, such as "10%" or "10px 20px"', read)


def _lengths(text: str, counts: tuple[int, ...]) -> list[Length]:
    words = text.split()
    if len(words) not in counts:
        raise ValueError(text)
    return [_length(word) for word in words]


def _length(word: str) -> Length:
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)(px|%)?", word, re.ASCII)
    if match is None:
        raise ValueError(word)
    return Length(float(match[1]) / 100, is_share=True) if match[2] == "%" else Length(float(match[1]), is_share=False)


def object_box(alpha: Bytes) -> Box | None:
    """The smallest box with everything in it that can be seen in `alpha` (H, W) uint8; None if nothing can."""
    columns, rows = (cv2.reduce(alpha, axis, cv2.REDUCE_MAX).ravel() > EMPTY for axis in (0, 1))
    if not rows.any():
        return None
    (top, bottom), (left, right) = (np.flatnonzero(line)[[0, -1]].tolist() for line in (rows, columns))
    return Box(left, top, right + 1, bottom + 1)


def cut(pixels: Bytes, box: Box) -> Bytes:
    """The part of `pixels` (H, W, …) in the box, and zeros where that lies outside."""
    height, width = pixels.shape[:2]
    inner = Box(max(box.left, 0), max(box.top, 0), min(box.right, width), min(box.bottom, height))
    part = pixels[inner.part]
    if inner == box:
        return np.ascontiguousarray(part)
    around = (inner.top - box.top, box.bottom - inner.bottom, inner.left - box.left, box.right - inner.right)
    return cv2.copyMakeBorder(part, *around, cv2.BORDER_CONSTANT, value=0).astype(np.uint8, copy=False)


def reduced(size: tuple[int, ...], megapixels: float) -> tuple[int, int]:
    """`size` (height, width) in proportion, with no more pixels than that; never larger."""
    height, width = size
    scale = min(1.0, math.sqrt(megapixels * 1e6 / (height * width)))
    return (height, width) if scale == 1 else (max(1, int(height * scale)), max(1, int(width * scale)))


def scaled(pixels: Bytes, size: tuple[int, int]) -> Bytes:
    """`pixels` (H, W, …) averaged down, or drawn up, to `size` (height, width)."""
    pixels = halved(pixels, size)
    if pixels.shape[:2] == size:
        return pixels
    grows = size[0] > pixels.shape[0] or size[1] > pixels.shape[1]
    kind = cv2.INTER_CUBIC if grows else cv2.INTER_AREA
    return cv2.resize(pixels, size[::-1], interpolation=kind).astype(np.uint8, copy=False)


def halved(pixels: Bytes, size: tuple[int, int]) -> Bytes:
    """`pixels` (H, W, …) averaged down by two, and by two again, while they stay as large as `size` (height, width).

    Exact halves are ten times as fast as any other factor; where a network is to see the result, any kind of
    interpolation will do from there.
    """
    while _can_be_halved(pixels.shape, size):
        half = (pixels.shape[1] // 2, pixels.shape[0] // 2)
        pixels = cv2.resize(pixels, half, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return pixels


def _can_be_halved(shape: tuple[int, ...], size: tuple[int, int]) -> bool:
    return all(now % 2 == 0 and now >= 2 * then for now, then in zip(shape, size, strict=False))


def cover(pixels: Bytes, size: tuple[int, int]) -> Bytes:
    """The middle of `pixels` (H, W, …) scaled so that it fills `size` (height, width), proportions kept."""
    height, width = pixels.shape[:2]
    scale = max(size[0] / height, size[1] / width)
    high, wide = min(height, max(1, round(size[0] / scale))), min(width, max(1, round(size[1] / scale)))
    top, left = (height - high) // 2, (width - wide) // 2
    return scaled(np.ascontiguousarray(pixels[top : top + high, left : left + wide]), size)
