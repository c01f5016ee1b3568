"""A picture's way to a larger one, beside the device: tiles out of it, and the file out of the enlarged tiles."""

import math
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from worker import cutout, foreground, outputs, wishes
from worker.engines import Upscaler
from worker.pixels import SIDE_MAX, Bytes, Picture
from worker.problems import TooLong, TooManyPixels


class Upscaling:
    """One picture on its way; made, added to, and finished, in threads of the codecs.

    What is enlarged goes to its place at once, so that beside the picture and the result there is never more of it
    than what was added last.
    """

    def __init__(self, picture: Picture, wish: wishes.Upscale, upscaler: Upscaler) -> None:
        self._picture = picture
        self._wish = wish
        model = wish.model_of(upscaler)
        # What is hidden may be anything; enlarged, it would be seen along the edges.
        seen = picture.rgb if picture.alpha is None else foreground.spread(picture.rgb, picture.alpha)
        self._canvas = upscaler.canvas(seen, model)
        self.tiles: Iterable[Bytes] = upscaler.cut(seen, model)
        """What the device is to enlarge."""

    def add(self, tiles: Sequence[Bytes]) -> None:
        """Take the next of the enlarged tiles."""
        self._canvas.add(tiles)

    def finish(self) -> cutout.File:
        """Make the file out of the enlarged tiles, all of which have been added. Raises TooLong."""
        picture, wish = self._picture, self._wish
        width, height = size = enlarged(picture.rgb.shape[1], picture.rgb.shape[0], wish.scale)
        rgb = self._canvas.finished(size)
        del self._canvas, self.tiles  # as large as all the rest, and of no more use
        alpha = None if picture.alpha is None else enlarged_alpha(picture.alpha, size)
        result, kind = cutout.fitting(Picture(rgb, alpha, picture.icc), wish.format)
        return cutout.File(outputs.encode(result, kind, wish.quality), kind, width, height)


def enlarged(width: int, height: int, scale: float) -> tuple[int, int]:
    """(width, height) of the result."""
    return round(width * scale), round(height * scale)


def enlarged_alpha(alpha: Bytes, size: tuple[int, int]) -> Bytes:
    """`alpha` (H, W) uint8 at `size` (width, height), which is no smaller: cubic, held between its neighbours.

    Any sharp kernel swings beside an edge: a ghost around the shape, holes within. No pixel becomes more, or less,
    than the 3 x 3 around the one that it lies in. A network for photographs would draw into it.
    """
    sharp = cv2.resize(alpha, size, interpolation=cv2.INTER_CUBIC)
    around = np.ones((3, 3), np.uint8)
    for bound, limit in ((cv2.dilate, cv2.min), (cv2.erode, cv2.max)):
        limit(sharp, cv2.resize(bound(alpha, around), size, interpolation=cv2.INTER_NEAREST), dst=sharp)
    return np.asarray(sharp, np.uint8)


def room(size: tuple[int, int], wish: wishes.Upscale, upscaler: Upscaler, pixels_max: int) -> int:
    """How many pixels a picture of `size` (width, height) has when it is largest on its way.

    Raises TooManyPixels where those are more than `pixels_max`, and TooLong where the file could not hold the result:
    nothing is decoded, and nobody waits, for what cannot be done.
    """
    wide, high = enlarged(*size, wish.scale)
    if max(wide, high) > SIDE_MAX:
        raise TooLong(SIDE_MAX)
    if wide * high > pixels_max:
        most = math.floor((pixels_max / (size[0] * size[1])) ** 0.5 * 100) / 100
        advice = f'Choose a "scale" up to {most:g}.' if most >= 1 else "Send a smaller picture."
        raise TooManyPixels(pixels_max, f"The result would have more than {pixels_max / 1e6:g} megapixels. {advice}")
    made = upscaler.pixels_made(*size, wish.model_of(upscaler), wish.scale)
    if made > pixels_max:
        raise TooManyPixels(pixels_max, _too_large_for_model(size, wish, upscaler, pixels_max))
    return made


def _too_large_for_model(size: tuple[int, int], wish: wishes.Upscale, upscaler: Upscaler, pixels_max: int) -> str:
    model = wish.model_of(upscaler)
    own = (upscaler.pixels_made(*size, model, 1) / (size[0] * size[1])) ** 0.5
    fitting = (one for one in upscaler.models if upscaler.pixels_made(*size, one, wish.scale) <= pixels_max)
    other = next(fitting, None)
    return (
        f'Whatever the "scale", the model "{model}" enlarges {own:g} times at first, here to more than '
        f"{pixels_max / 1e6:g} megapixels. Send a picture of at most {pixels_max / own**2 / 1e6:.3g} megapixels"
        + (f', or choose the "model" {other}.' if other else ".")
    )
