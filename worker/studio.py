"""One picture's way through the threads: decoded, matted on the device, encoded."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import cv2

from worker import outputs, pixels
from worker.device import Device
from worker.pixels import Bytes, Picture

T = TypeVar("T")
Finish = Callable[[Picture, Bytes, str], bytes]


@dataclass(frozen=True)
class Done:
    """A finished picture file with its size and the seconds that each step took."""

    body: bytes
    width: int
    height: int
    engine: str
    seconds: dict[str, float]


class Studio:
    """Works on pictures of at most `pixels_max`; codecs run in a small pool, the engine in the device's thread."""

    def __init__(self, device: Device, pixels_max: int, codec_threads: int) -> None:
        self._device = device
        self._pixels_max = pixels_max
        self._codecs = ThreadPoolExecutor(codec_threads, "codec")

    async def work(self, data: bytes, finish: Finish, kind: str) -> Done:
        """Turn the bytes of a picture into a file of `kind`, a key of outputs.FORMATS. Raises as pixels.decode does."""
        with self._device.place():
            (picture, seen), decoding = await self._in_codecs(lambda: _decode(data, self._pixels_max))
            matte = await self._device.alpha(seen)
            body, encoding = await self._in_codecs(lambda: finish(picture, matte.alpha, kind))
        seconds = {
            "decode": decoding,
            "queue": matte.queue_seconds,
            "device": matte.device_seconds,
            "encode": encoding,
        }
        height, width = matte.alpha.shape
        return Done(body, width, height, matte.engine, seconds)

    def close(self) -> None:
        """Forget the pictures that no thread has begun."""
        self._codecs.shutdown(wait=False, cancel_futures=True)

    async def _in_codecs(self, job: Callable[[], T]) -> tuple[T, float]:
        return await asyncio.get_running_loop().run_in_executor(self._codecs, _timed, job)


def cutout(picture: Picture, alpha: Bytes, kind: str) -> bytes:
    """The picture where `alpha` (H, W) uint8 keeps it, as a file of `kind`."""
    return outputs.cutout(picture.rgb, _with_its_own(picture, alpha), picture.icc, kind)


def alpha_only(picture: Picture, alpha: Bytes, _kind: str) -> bytes:
    """What would be transparent (black) and opaque (white), as a grey PNG."""
    return outputs.grey(_with_its_own(picture, alpha))


def _with_its_own(picture: Picture, alpha: Bytes) -> Bytes:
    return alpha if picture.alpha is None else cv2.multiply(alpha, picture.alpha, scale=1 / 255).astype(alpha.dtype)


def _decode(data: bytes, pixels_max: int) -> tuple[Picture, Bytes]:
    picture = pixels.decode(data, pixels_max)
    return picture, picture.seen()


def _timed(job: Callable[[], T]) -> tuple[T, float]:
    begun = time.perf_counter()
    return job(), time.perf_counter() - begun
