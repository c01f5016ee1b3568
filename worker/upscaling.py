"""A picture's way to a larger one, beside the device: tiles out of it, and the file out of the enlarged tiles."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from worker import cutout, foreground, outputs, wishes
from worker.engines import Upscaler
from worker.pixels import Bytes, Picture
from worker.problems import TooManyPixels


class Upscaling:
    """One picture on its way; made, and finished, in a thread of the codecs."""

    def __init__(self, picture: Picture, wish: wishes.Upscale, upscaler: Upscaler) -> None:
        self._picture = picture
        self._wish = wish
        self._upscaler = upscaler
        self.model = wish.model_of(upscaler)
        # What is hidden may be anything; enlarged, it would be seen along the edges.
        self._seen = picture.rgb if picture.alpha is None else foreground.spread(picture.rgb, picture.alpha)
        self.tiles: Sequence[Bytes] = upscaler.cut(self._seen, self.model)
        """What the device is to enlarge."""

    def finish(self, tiles: Sequence[Bytes]) -> cutout.File:
        """Make the file out of the enlarged tiles. Raises TooLong."""
        picture, wish = self._picture, self._wish
        width, height = size = enlarged(picture.rgb.shape[1], picture.rgb.shape[0], wish.scale)
        rgb = self._upscaler.join(tiles, self._seen, self.model, size)
        alpha = None
        if picture.alpha is not None:
            alpha = cv2.resize(picture.alpha, size, interpolation=cv2.INTER_LANCZOS4).astype(np.uint8, copy=False)
        result, kind = cutout.fitting(Picture(rgb, alpha, picture.icc), wish.format)
        return cutout.File(outputs.encode(result, kind, wish.quality), kind, width, height)


def enlarged(width: int, height: int, scale: float) -> tuple[int, int]:
    """(width, height) of the result."""
    return round(width * scale), round(height * scale)


def pixels_made(width: int, height: int, scale: float, pixels_max: int) -> int:
    """How many pixels the result has. Raises TooManyPixels where those are more than `pixels_max`."""
    wide, high = enlarged(width, height, scale)
    if wide * high > pixels_max:
        most = math.floor((pixels_max / (width * height)) ** 0.5 * 100) / 100
        advice = f'Choose a "scale" up to {most:g}.' if most >= 1 else "Send a smaller picture."
        raise TooManyPixels(pixels_max, f"The result would have more than {pixels_max / 1e6:g} megapixels. {advice}")
    return wide * high
