"""From pixels to the bytes of a picture file, fast and with the colour profile: PNG, WebP, JPEG, and ZIP of two."""

import io
import struct
import zipfile
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

from worker import foreground
from worker.pixels import OPAQUE, Bytes, Picture
from worker.problems import TooLong

FORMATS = {"png": "image/png", "webp": "image/webp", "jpg": "image/jpeg", "zip": "application/zip"}
QUALITY = 90

_FAST = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP),
)
_FLAT = (  # for large areas of one value
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP),
)
_IHDR_END = 33
_JPEG_SIDE_MAX = 65_500  # of libjpeg: a little less than the 65,535 of the format
_WEBP_SIDE_MAX = 16_383
_APP2_MAX = 65_519  # bytes of a profile in one segment (ICC.1:2022, B.4)
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the same picture always gives the same file


def encode(picture: Picture, kind: str, quality: int = QUALITY) -> bytes:
    """Write a file of `kind`, a key of FORMATS; `quality` 1..100 is for lossy colours.

    Colours that alpha hides altogether are not written, so that nothing can be read out of them. JPEG, which has no
    transparency, takes opaque pictures only. Raises TooLong.
    """
    write = {"png": _png, "webp": _webp, "jpg": _jpeg, "zip": _zip}[kind]
    return write(picture, quality)


def grey(alpha: Bytes, kind: str = "png", quality: int = QUALITY) -> bytes:
    """Write `alpha` (H, W) uint8 as an 8-bit grey PNG, or as a WebP or JPEG."""
    if kind == "png":
        return _encoded(".png", alpha, _FLAT)
    if kind == "jpg":
        return _lossy(alpha, quality)
    return _webp(Picture(cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False), None, None), quality)


def _png(picture: Picture, _quality: int) -> bytes:
    if picture.alpha is None:
        return _with_chunk(_encoded(".png", cv2.cvtColor(picture.rgb, cv2.COLOR_RGB2BGR), _FAST), picture.icc)
    return _with_chunk(_encoded(".png", _hiding(picture.rgb, picture.alpha), _FAST), picture.icc)


def _webp(picture: Picture, quality: int) -> bytes:
    # By OpenCV: Pillow brings the pixels to libwebp with the interpreter's lock held, 30 ms for 12 megapixels.
    rgb, alpha = picture.rgb, picture.alpha
    _check_sides(rgb, _WEBP_SIDE_MAX)
    pixels = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR) if alpha is None else _hiding(rgb, alpha)
    kinds, profiles = ([cv2.IMAGE_METADATA_ICCP], [np.frombuffer(picture.icc, np.uint8)]) if picture.icc else ([], [])
    settings = (cv2.IMWRITE_WEBP_QUALITY, quality)
    return _written(".webp", *cv2.imencodeWithMetadata(".webp", pixels, kinds, profiles, settings))


def _jpeg(picture: Picture, quality: int) -> bytes:
    assert picture.alpha is None, "laid over a colour first"
    return _with_segments(_lossy(cv2.cvtColor(picture.rgb, cv2.COLOR_RGB2BGR), quality), picture.icc)


def _zip(picture: Picture, quality: int) -> bytes:
    # The names and kinds of remove.bg's ZIP format. Both are compressed already.
    rgb, alpha = picture.rgb, picture.alpha
    if alpha is None:
        alpha = np.full(rgb.shape[:2], OPAQUE, np.uint8)
    else:
        rgb = foreground.spread(rgb, alpha)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("color.jpg", _ZIP_TIME), _jpeg(Picture(rgb, None, picture.icc), quality))
        archive.writestr(zipfile.ZipInfo("alpha.png", _ZIP_TIME), grey(alpha))
    return out.getvalue()


def _lossy(pixels: cv2.typing.MatLike, quality: int) -> bytes:
    _check_sides(pixels, _JPEG_SIDE_MAX)
    return _encoded(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, quality))


def _check_sides(pixels: cv2.typing.MatLike, side_max: int) -> None:
    if max(pixels.shape) > side_max:
        raise TooLong(side_max)


def _hiding(rgb: Bytes, alpha: Bytes) -> cv2.typing.MatLike:
    """Blue, green, red and alpha, (H, W, 4); all 0 where alpha is."""
    bgra = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA)
    bgra[..., 3] = alpha
    return cv2.bitwise_and(bgra, bgra, mask=alpha)


def _encoded(kind: str, pixels: cv2.typing.MatLike, settings: tuple[int, ...]) -> bytes:
    return _written(kind, *cv2.imencode(kind, pixels, settings))


def _written(kind: str, written: bool, data: NDArray[np.uint8]) -> bytes:
    if not written:
        raise RuntimeError(f"OpenCV could not write a {kind}")
    return data.tobytes()


def _with_chunk(png: bytes, icc: bytes | None) -> bytes:
    # OpenCV writes no profile; the PNG specification wants iCCP before PLTE and IDAT: right after IHDR.
    if not icc:
        return png
    content = b"iCCP" + b"ICC profile\0\0" + zlib.compress(icc)
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return b"".join((png[:_IHDR_END], chunk, png[_IHDR_END:]))


def _with_segments(jpeg: bytes, icc: bytes | None) -> bytes:
    # OpenCV begins with SOI and APP0 (JFIF), which has to come first; a long profile is numbered from 1.
    if not icc:
        return jpeg
    parts = [icc[start : start + _APP2_MAX] for start in range(0, len(icc), _APP2_MAX)]
    segments = [
        struct.pack(">BBH12sBB", 0xFF, 0xE2, len(part) + 16, b"ICC_PROFILE\0", number, len(parts)) + part
        for number, part in enumerate(parts, 1)
    ]
    end = 4 + int.from_bytes(jpeg[4:6], "big")
    return b"".join((jpeg[:end], *segments, jpeg[end:]))
