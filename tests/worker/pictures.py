"""Pictures that the tests make themselves, and a look into the files that come back."""

import functools
import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from worker.engines import Engine

Bytes = NDArray[np.uint8]
Truth = NDArray[np.float32]


def noise(width: int = 60, height: int = 40, channels: int = 3, seed: int = 1) -> Bytes:
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, channels)).astype(np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def file(pixels: Bytes | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    """A PNG written by hand, for what Pillow cannot write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@functools.cache  # a profile holds the second in which it was made
def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def profile_of_space(space: bytes) -> bytes:
    profile = bytearray(srgb_profile())
    profile[16:20] = space
    return bytes(profile)


def shape(kind: str, height: int = 240, width: int = 320) -> Truth:
    """An object's true alpha, anti-aliased."""
    scale = 4
    mask = np.zeros((height * scale, width * scale), np.uint8)
    x, y, r = width * scale // 2, height * scale // 2, int(min(height, width) * 0.3 * scale)
    if kind == "ring":
        cv2.circle(mask, (x, y), r, 255, r // 2)
    elif kind == "star":
        turn = np.arange(10) * np.pi / 5
        reach = np.where(np.arange(10) % 2, r * 0.45, r * 1.2)
        cv2.fillPoly(mask, [np.stack([x + reach * np.sin(turn), y - reach * np.cos(turn)], -1).astype(np.int32)], 255)
    elif kind == "standing at the border":
        cv2.rectangle(mask, (x - r // 2, y - r), (x + r // 2, height * scale), 255, -1)
        cv2.circle(mask, (x, y - r // 2), r, 255, -1)
    else:
        cv2.ellipse(mask, (x, y), (r, r * 3 // 4), 20, 0, 360, 255, -1)
    small = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)


def backdrop(kind: str, height: int = 240, width: int = 320) -> Truth:
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:height, :width].astype(np.float32) / max(height, width)
    flat = np.ones((height, width, 3), np.float32)
    made: Any = {
        "white": lambda: 255 * flat,
        "grey": lambda: 128 * flat,
        "green": lambda: np.array((40, 180, 70)) * flat,
        "gradient": lambda: np.stack([200 + 40 * x, 190 + 50 * y, 210 - 30 * x], -1),
        "vignette": lambda: (235 - 110 * ((x - 0.5) ** 2 + (y - 0.4) ** 2))[..., None] * flat,
        "noisy": lambda: np.array((220, 215, 205)) + rng.normal(0, 10, flat.shape),
        "stripes": lambda: np.where((np.sin(x * 40 + y * 9) > 0)[..., None], (150, 110, 70), (190, 160, 120)),
        "clouds": lambda: 60 + 120 * cv2.resize(rng.random((6, 8, 3)), (width, height), interpolation=cv2.INTER_LINEAR),
    }
    return np.asarray(made[kind](), np.float32)


def scene(alpha: Truth, behind: Truth, colour: tuple[int, int, int] = (200, 50, 40)) -> bytes:
    """The object in one shaded colour before a backdrop, as a JPEG."""
    height, width = alpha.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    shading = 0.75 + 0.3 * np.sin(x / width * 5) * np.cos(y / height * 4)
    mixed = alpha[..., None] * shading[..., None] * np.array(colour) + (1 - alpha[..., None]) * behind
    return file(mixed.clip(0, 255).astype(np.uint8), "JPEG", quality=80)


def matte(engine: Engine, rgb: Bytes) -> Bytes:
    """What the engine answers, all three steps in one."""
    view = engine.view(rgb, None)
    return engine.enlarge(engine.alphas([view])[0], view, rgb)


def overlap(alpha: Bytes, truth: Truth) -> float:
    """Intersection over union of what is more than half opaque."""
    got, true = alpha >= 128, truth >= 0.5
    return float((got & true).sum() / max(1, (got | true).sum()))
