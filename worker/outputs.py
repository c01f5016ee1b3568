"""From pixels to the bytes of a picture file: PNG, fast and with its colour profile, and WebP."""

import io
import struct
import zlib

import cv2
import numpy as np
from PIL import Image

from worker.pixels import Bytes
from worker.problems import TooLong

FORMATS = {"png": "image/png", "webp": "image/webp"}

_FAST = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP),
)
_IHDR_END = 33
_WEBP_SIDE_MAX = 16_383


def cutout(rgb: Bytes, alpha: Bytes, icc: bytes | None, kind: str) -> bytes:
    """Write `rgb` (H, W, 3) uint8 under `alpha` (H, W) uint8 as a file of `kind`, a key of FORMATS.

    Colours that alpha hides altogether are zeroed, so that nothing can be read out of them. Raises TooLong.
    """
    if kind == "webp":
        return _webp(np.dstack([cv2.bitwise_and(rgb, rgb, mask=alpha), alpha]), icc)
    bgra = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA)
    bgra[..., 3] = alpha
    return _with_profile(_png(cv2.bitwise_and(bgra, bgra, mask=alpha).astype(np.uint8, copy=False)), icc)


def grey(alpha: Bytes) -> bytes:
    """Write `alpha` (H, W) uint8 as an 8-bit grey PNG."""
    return _png(alpha)


def _png(pixels: Bytes) -> bytes:
    written, data = cv2.imencode(".png", pixels, _FAST)
    if not written:
        raise RuntimeError("OpenCV could not write a PNG")
    return data.tobytes()


def _with_profile(png: bytes, icc: bytes | None) -> bytes:
    # OpenCV writes no profile; the PNG specification wants iCCP before PLTE and IDAT: right after IHDR.
    if not icc:
        return png
    content = b"iCCP" + b"ICC profile\0\0" + zlib.compress(icc)
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return b"".join((png[:_IHDR_END], chunk, png[_IHDR_END:]))


def _webp(rgba: Bytes, icc: bytes | None) -> bytes:
    if max(rgba.shape) > _WEBP_SIDE_MAX:
        raise TooLong(_WEBP_SIDE_MAX)
    out = io.BytesIO()
    Image.fromarray(rgba).save(out, "WEBP", quality=90, method=1, icc_profile=icc or b"")
    return out.getvalue()
