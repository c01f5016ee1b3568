"""A picture's way to its cut-out, beside the device: what the engine sees of it, and what is made of the answer."""

import time
from dataclasses import dataclass

import cv2
import numpy as np

from worker import background, foreground, layout, outputs, wishes
from worker.engines import Engine
from worker.pixels import OPAQUE, Bytes, Picture
from worker.problems import BadOption


@dataclass(frozen=True)
class File:
    """A finished file of `kind`, a key of outputs.FORMATS, its size in pixels, and the seconds of a clean-up if any."""

    body: bytes
    kind: str
    width: int
    height: int
    cleaning: float | None = None


class Cutting:
    """One picture on its way; made, and finished, in a thread of the codecs."""

    def __init__(self, picture: Picture, backdrop: Picture | None, wish: wishes.Cutout, engine: Engine) -> None:
        self._picture = picture
        self._backdrop = backdrop
        self._wish = wish
        self._engine = engine
        self._region = _region(picture, wish)
        seen = picture.seen()
        part = seen if wish.roi is None else np.ascontiguousarray(seen[self._region.part])
        self.view = engine.view(part, wish.resolution)
        """What the device is to see."""

    def finish(self, alpha: Bytes) -> File:
        """Make the file out of the engine's answer for the view. Raises TooLong."""
        wish = self._wish
        picture, matte = self._cropped(alpha) if wish.crop else self._whole(alpha)
        height, width = matte.shape
        if wish.channels == "alpha":
            kind = "png" if wish.format == "auto" else wish.format
            return File(outputs.grey(matte, kind, wish.quality), kind, width, height)
        # A picture that brings transparency has the colours of its edges to itself already.
        cleans = wish.clean_edges and picture.alpha is None
        begun = time.perf_counter()
        rgb = foreground.clean(picture.rgb, matte) if cleans else picture.rgb
        cleaning = time.perf_counter() - begun if cleans else None
        result, kind = fitting(self._on_background(Picture(rgb, matte, picture.icc)), wish.format)
        return File(outputs.encode(result, kind, wish.quality), kind, width, height, cleaning)

    def _whole(self, alpha: Bytes) -> tuple[Picture, Bytes]:
        # Made small first: whatever follows is quick then.
        picture = self._picture
        size = layout.reduced(picture.rgb.shape[:2], layout.MEGAPIXELS[self._wish.size])
        picture = _scaled(picture, size)
        return picture, self._matte(picture, alpha)

    def _cropped(self, alpha: Bytes) -> tuple[Picture, Bytes]:
        picture, matte = self._picture, self._matte(self._picture, alpha)
        box = layout.object_box(matte)
        if box is None:
            box = layout.Box(0, 0, *matte.shape[::-1])
        elif self._wish.crop_margin:
            box = self._wish.crop_margin.around(box)
        own = None if picture.alpha is None else layout.cut(picture.alpha, box)
        picture, matte = Picture(layout.cut(picture.rgb, box), own, picture.icc), layout.cut(matte, box)
        size = layout.reduced(matte.shape, layout.MEGAPIXELS[self._wish.size])
        return _scaled(picture, size), layout.scaled(matte, size)

    def _matte(self, picture: Picture, alpha: Bytes) -> Bytes:
        """The alpha of `picture`, which is the picture or a smaller copy; what it brings itself multiplies it."""
        size = picture.rgb.shape[:2]
        box = self._region.scaled(self._picture.rgb.shape[:2], size)
        part = np.ascontiguousarray(picture.seen()[box.part])
        matte = self._engine.enlarge(alpha, self.view, part)
        if matte.shape != size:
            inside, matte = matte, np.zeros(size, np.uint8)
            matte[box.part] = inside
        if picture.alpha is None:
            return matte
        return cv2.multiply(matte, picture.alpha, scale=1 / OPAQUE).astype(np.uint8, copy=False)

    def _on_background(self, picture: Picture) -> Picture:
        size = picture.rgb.shape[:2]
        if self._backdrop:
            behind = background.covering(self._backdrop, size)
        elif self._wish.bg_color:
            behind = background.plain(self._wish.bg_color, size)
        else:
            return picture
        return background.laid(background.in_srgb(picture), background.in_srgb(behind))


def _region(picture: Picture, wish: wishes.Cutout) -> layout.Box:
    height, width = picture.rgb.shape[:2]
    if wish.roi is None:
        return layout.Box(0, 0, width, height)
    box = wish.roi.within(height, width)
    if box is None:
        raise BadOption(f'The option "roi" has nothing of the picture in it, which is {width} x {height} pixels.')
    return box


def _scaled(picture: Picture, size: tuple[int, int]) -> Picture:
    if picture.rgb.shape[:2] == size:
        return picture
    if picture.alpha is None:
        return Picture(layout.scaled(picture.rgb, size), None, picture.icc)
    # What is hidden may be anything; averaged with the rest it would be seen.
    visible = foreground.spread(picture.rgb, picture.alpha)
    return Picture(layout.scaled(visible, size), layout.scaled(picture.alpha, size), picture.icc)


def fitting(picture: Picture, form: str) -> tuple[Picture, str]:
    """The picture as a file of that form can hold it, and the kind of the file."""
    if form == "auto":
        form = "jpg" if picture.alpha is None or picture.alpha.min() == OPAQUE else "png"
    if form == "jpg":
        picture = background.laid(picture, background.plain(background.WHITE, picture.rgb.shape[:2]))
    return picture, form
