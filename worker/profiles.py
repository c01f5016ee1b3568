"""Colour profiles: which one may stay with a picture, and how pixels are brought from one to sRGB."""

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

BYTES_MAX = 2**20  # those of cameras and screens have some kilobytes; JPEG holds no more than 16 MB
PIXELS = 500_000  # converted at a time: Pillow copies with the interpreter's lock held


def space(icc: bytes) -> bytes | None:
    """The four letters of the colour space that a profile is for (ICC.1:2022, 7.2.6); None if it is no profile."""
    return icc[16:20] if icc[36:40] == b"acsp" else None


def of_rgb(icc: bytes) -> bytes | None:
    """The profile if it can stay with RGB pixels, of at most BYTES_MAX: what is larger is taken for none."""
    return icc if space(icc) == b"RGB " and len(icc) <= BYTES_MAX else None


def as_srgb(image: Image.Image, icc: bytes) -> Image.Image:
    """A picture of the profile's own space as RGB in sRGB; by the usual formulas where the profile is broken."""
    try:
        return ImageCms.profileToProfile(image, io.BytesIO(icc), _srgb(), outputMode="RGB") or image.convert("RGB")
    except ImageCms.PyCMSError:
        return image.convert("RGB")


def in_srgb(rgb: NDArray[np.uint8], icc: bytes | None) -> NDArray[np.uint8]:
    """`rgb` (H, W, 3) uint8, which an RGB profile describes, in sRGB; as it is if that is none or broken."""
    if icc is None:
        return rgb
    try:
        convert = ImageCms.buildTransform(ImageCms.ImageCmsProfile(io.BytesIO(icc)), _srgb(), "RGB", "RGB")
        converted = np.empty(rgb.shape, np.uint8)
        for rows in _parts(*rgb.shape[:2]):
            converted[rows] = np.asarray(ImageCms.applyTransform(Image.fromarray(rgb[rows]), convert))
    except (ImageCms.PyCMSError, OSError):
        return rgb
    return converted


def _parts(height: int, width: int) -> Iterator[slice]:
    rows = max(1, PIXELS // width)
    yield from (slice(top, top + rows) for top in range(0, height, rows))


def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
