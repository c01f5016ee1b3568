"""Made weights and inputs that depend on nothing but names and shapes, as the reference vectors were made with."""

import json
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

REFERENCE = Path(__file__).with_name("reference")

# Chosen so that signals stay near 1 and rounding is not amplified.
GAINS = {"bb.": 3.0, ".offset_conv.": 0.3, ".rdb": 3.0, "conv_body.": 0.002}

Doubles = NDArray[np.float64]


def uniform(name: str, shape: tuple[int, ...]) -> Doubles:
    """Doubles in [-1, 1) that depend on the name alone."""
    raw = np.random.PCG64(zlib.crc32(name.encode())).random_raw(math.prod(shape))
    return ((raw >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0).reshape(shape)


def weight(key: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The array under a key of a state dict: float32, or int64 for counters and indices."""
    last = key.rsplit(".", 1)[-1]
    if last == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if last == "relative_position_index":
        return _relative_positions(math.isqrt(shape[0]))
    return (_offset(key, shape) + _scale(key, shape) * uniform(key, shape)).astype(np.float32)


def weights(shapes: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """The arrays for the keys of a reference file, `{key: [shape, dtype]}`."""
    return {key: weight(key, tuple(shape)) for key, (shape, _) in shapes.items()}


def birefnet_input(height: int, width: int) -> NDArray[np.float32]:
    """A picture (1, 3, height, width) that is already normalised."""
    return (1.7 * uniform("input", (1, 3, height, width))).astype(np.float32)


def realesrgan_input(height: int, width: int) -> NDArray[np.float32]:
    """A picture (1, 3, height, width) in 0..1."""
    return (0.5 + 0.5 * uniform("input", (1, 3, height, width))).astype(np.float32)


def keys(engine: str) -> dict[str, Any]:
    """The variants of a key file, `birefnet` or `realesrgan`."""
    variants: dict[str, Any] = json.loads((REFERENCE / f"{engine}_keys.json").read_text())["variants"]
    return variants


def vectors(name: str) -> dict[str, NDArray[Any]]:
    """All arrays of a vector file, `birefnet`, `deform` or `realesrgan`."""
    with np.load(REFERENCE / f"{name}_vectors.npz") as arrays:
        return dict(arrays)


def crc32(arrays: dict[str, NDArray[Any]]) -> int:
    """The CRC-32 over the bytes of all arrays, in order."""
    crc = 0
    for array in arrays.values():
        crc = zlib.crc32(np.ascontiguousarray(array).tobytes(), crc)
    return crc


def _offset(key: str, shape: tuple[int, ...]) -> float:
    if len(shape) > 1 or key.endswith(("running_mean", "bias", "relative_position_bias_table")):
        return 0.0
    return 0.25 if key.startswith("body.") else 1.0


def _scale(key: str, shape: tuple[int, ...]) -> float:
    fixed = {"running_var": 0.5, "running_mean": 0.2, "relative_position_bias_table": 1.0}
    last = key.rsplit(".", 1)[-1]
    if last in fixed:
        return fixed[last]
    if key.endswith("offset_conv.bias"):
        return 1.5
    if len(shape) > 1:
        gain = next((gain for part, gain in GAINS.items() if part in key), 5.0)
        return math.sqrt(gain / math.prod(shape[1:]))
    return 0.1 if last == "bias" else 0.25


def _relative_positions(side: int) -> NDArray[np.int64]:
    y, x = np.divmod(np.arange(side * side), side)
    dy, dx = y[:, None] - y[None], x[:, None] - x[None]
    positions: NDArray[np.int64] = (dy + side - 1) * (2 * side - 1) + dx + side - 1
    return positions
