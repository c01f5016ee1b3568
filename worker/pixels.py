"""From the bytes of a picture file to upright 8-bit RGB, whatever kind of file it was."""

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, features

from worker import profiles
from worker.problems import Busy, NotAnImage, Problem, TooLong, TooManyPixels, TruncatedImage

Bytes: TypeAlias = NDArray[np.uint8]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", *(("AVIF",) if features.check("avif") else ()))
OPAQUE = 255
SIDE_MAX = 65_500  # what a JPEG can hold; beyond a million, libpng refuses to write
COPIED_PIXELS = 500_000  # at a time
SCANS_MAX = 100  # a progressive JPEG of some kilobytes may ask for thousands of passes over all its pixels

_ANIMATION = 2  # the bit of VP8X

_NOT_AN_IMAGE = f"The bytes are no picture that can be read here. Send one of: {', '.join(FORMATS)}."
_DAMAGED = "The picture is damaged or cut short. Send the whole file again."
_KNOWN = re.compile(rb"\xff\xd8\xff|\x89PNG|RIFF....WEBP|GIF8|BM|II\*\0|MM\0\*|....ftypavi", re.DOTALL)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_TURNED: dict[Image.Transpose, Callable[[Bytes], Bytes]] = {
    Image.Transpose.FLIP_LEFT_RIGHT: lambda rgb: rgb[:, ::-1],
    Image.Transpose.ROTATE_180: lambda rgb: rgb[::-1, ::-1],
    Image.Transpose.FLIP_TOP_BOTTOM: lambda rgb: rgb[::-1],
    Image.Transpose.TRANSPOSE: lambda rgb: rgb.swapaxes(0, 1),
    Image.Transpose.ROTATE_270: lambda rgb: rgb.swapaxes(0, 1)[:, ::-1],
    Image.Transpose.TRANSVERSE: lambda rgb: rgb[::-1, ::-1].swapaxes(0, 1),
    Image.Transpose.ROTATE_90: lambda rgb: rgb.swapaxes(0, 1)[::-1],
}

# Broken metadata is no reason to fill the log; too many pixels are a reason to stop.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


@dataclass(frozen=True)
class Picture:
    """Upright pixels: `rgb` (H, W, 3) uint8 0..255, `alpha` (H, W) uint8 if not all opaque, an RGB profile if any."""

    rgb: Bytes
    alpha: Bytes | None
    icc: bytes | None

    def seen(self) -> Bytes:
        """The pixels as an engine should see them, (H, W, 3) uint8: colours that were hidden lie under neutral grey."""
        if self.alpha is None:
            return self.rgb
        seen = np.empty(self.rgb.shape, np.uint8)
        for rows in _parts(*self.alpha.shape):
            weight = self.alpha[rows, :, None].astype(np.uint16)
            seen[rows] = (self.rgb[rows] * weight + 128 * (255 - weight)) // 255
        return seen


def begins_like_a_picture(data: bytes) -> bool:
    """Whether the first bytes are those of a kind of picture file that is read here."""
    return _KNOWN.match(data) is not None


def announced(data: bytes, pixels_max: int) -> tuple[int, int]:
    """(width, height) by the header of a picture file, not yet turned; no pixel is decoded. Raises as decode does."""
    with _problems(data, pixels_max):
        return _opened(data, pixels_max).size


def decode(data: bytes, pixels_max: int) -> Picture:
    """Read the first frame of a picture file, turned upright (EXIF) and brought to 8 bits and RGB.

    The header is held against `pixels_max` before any pixel is decoded. CMYK and grey files with a profile of
    their own are converted to sRGB; an RGB profile stays, unless it is larger than a mebibyte.
    Raises NotAnImage, TruncatedImage, TooManyPixels, TooLong, Busy.
    """
    with _problems(data, pixels_max):
        image = _opened(data, pixels_max)
        quick = _by_opencv(image, data)
        if quick is not None:
            return quick
        _scale_transparent_colour(image, data)
        image.load()
        return _picture(_upright(_eight_bits(image)))


@contextmanager
def _problems(data: bytes, pixels_max: int) -> Iterator[None]:
    try:
        yield
    except Problem:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixels(pixels_max) from error
    except MemoryError as error:
        raise Busy from error
    except Exception as error:  # Pillow's readers raise whatever a broken file leads them to
        raise (TruncatedImage(_DAMAGED) if begins_like_a_picture(data) else NotAnImage(_NOT_AN_IMAGE)) from error


def _opened(data: bytes, pixels_max: int) -> Image.Image:
    # Pillow holds frames and tiles against this as well, some of them while it opens the file.
    Image.MAX_IMAGE_PIXELS = pixels_max
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if max(image.size) > SIDE_MAX:
        raise TooLong(SIDE_MAX)
    if data.startswith(b"\xff\xd8") and data.count(b"\xff\xda") > SCANS_MAX:
        raise NotAnImage(f"The JPEG has more than {SCANS_MAX} scans. Save it again and send that.")
    if image.mode in ("I", "F"):
        raise NotAnImage("Pictures with 32 bits a channel are not read here. Save it with 8 or 16 bits and send that.")
    return image


def _by_opencv(image: Image.Image, data: bytes) -> Picture | None:
    # OpenCV reads the same pixels in a part of the time, and without the interpreter's lock, which Pillow holds while
    # it hands over a WebP. A JPEG that is cut short it fills up with grey: it gets only those that end as they should.
    if image.format == "JPEG" and image.mode == "RGB" and data.endswith(b"\xff\xd9"):
        flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    elif image.format == "WEBP" and not (data[12:16] == b"VP8X" and data[20] & _ANIMATION):
        flags = cv2.IMREAD_UNCHANGED
    else:
        return None
    read = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if read is None or read.dtype != np.uint8 or read.shape != (image.height, image.width, len(image.getbands())):
        return None
    if image.format == "WEBP":
        read = cv2.cvtColor(read, cv2.COLOR_BGRA2RGBA if image.mode == "RGBA" else cv2.COLOR_BGR2RGB)
    turn = _TURNS.get(_orientation(image))
    upright = read.astype(np.uint8, copy=False)
    if turn is not None:
        upright = np.ascontiguousarray(_TURNED[turn](upright))
    return Picture(*_apart(upright), _rgb_profile(image))


def _scale_transparent_colour(image: Image.Image, data: bytes) -> None:
    # PNG names its transparent colour in the file's own depth; Pillow scales the pixels and forgets the colour.
    colour, depth = image.info.get("transparency"), data[24]
    if image.format != "PNG" or colour is None:
        return
    if image.mode == "L" and depth < 8:  # noqa: PLR2004 - bits
        image.info["transparency"] = colour * OPAQUE // (2**depth - 1)
    elif image.mode == "RGB" and depth == 16:  # noqa: PLR2004 - bits
        image.info["transparency"] = tuple(value >> 8 for value in colour)


def _eight_bits(image: Image.Image) -> Image.Image:
    if not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image).astype(np.uint32)
    grey = Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
    if "transparency" in image.info:
        grey.putalpha(Image.fromarray(np.where(values == image.info["transparency"], 0, OPAQUE).astype(np.uint8)))
    grey.info["icc_profile"] = image.info.get("icc_profile")
    grey.info["exif"] = image.info.get("exif", b"")
    return grey


def _upright(image: Image.Image) -> Image.Image:
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a picture is worth more than its broken notes
        return 1


def _picture(image: Image.Image) -> Picture:
    icc: bytes = image.info.get("icc_profile") or b""
    rgb, alpha, kept = None, None, _rgb_profile(image)
    if image.has_transparency_data:
        rgb, alpha = _apart(_array(image if image.mode == "RGBA" else image.convert("RGBA")))
    if profiles.space(icc) == b"CMYK" and image.mode == "CMYK":
        rgb, kept = _array(profiles.as_srgb(image, icc)), None
    elif profiles.space(icc) == b"GRAY" and image.mode in ("L", "LA"):
        rgb, kept = _array(profiles.as_srgb(image.convert("L"), icc)), None
    elif rgb is None:
        rgb = _array(image if image.mode == "RGB" else image.convert("RGB"))
    return Picture(rgb, alpha, kept)


def _apart(pixels: Bytes) -> tuple[Bytes, Bytes | None]:
    """Colours and alpha of (H, W, 3 or 4) uint8; by OpenCV, which needs no lock for it."""
    if pixels.shape[2] == 3:  # noqa: PLR2004 - red, green and blue
        return pixels, None
    alpha = cv2.extractChannel(pixels, 3).astype(np.uint8, copy=False)
    rgb = cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB).astype(np.uint8, copy=False)
    return rgb, None if alpha.min() == OPAQUE else alpha


def _rgb_profile(image: Image.Image) -> bytes | None:
    return profiles.of_rgb(image.info.get("icc_profile") or b"")


def _array(image: Image.Image) -> Bytes:
    # In parts: Pillow copies with the interpreter's lock held, and a large picture would keep the server waiting.
    pixels = np.empty((image.height, image.width, len(image.getbands())), np.uint8)
    for rows in _parts(image.height, image.width):
        pixels[rows] = np.asarray(image.crop((0, rows.start, image.width, min(image.height, rows.stop))))
    return pixels


def _parts(height: int, width: int) -> Iterator[slice]:
    rows = max(1, COPIED_PIXELS // width)
    yield from (slice(top, top + rows) for top in range(0, height, rows))
