"""The engine that finds the foreground with BiRefNet, on a GPU or, slowly, on the processor."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from worker.checkpoints import CheckpointError
from worker.engines import faults
from worker.engines.birefnet import published, variants
from worker.engines.birefnet.model import BiRefNet
from worker.pixels import Bytes
from worker.problems import EngineFailed

# Of the data that backbones are trained on (ImageNet), for channels in 0..1.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)

SIDE_STEP = 32
SIDES = (512, 1024, 2048)
PIXELS_TOGETHER = 4 * 1024 * 1024
RATIO_MAX = 4  # of the sides of a view that keeps proportions; longer strips are squeezed

_PINNED = re.compile(r"(.+)@([\w.-]+)")

log = logging.getLogger("worker")


class Engine:
    """BiRefNet with weights from `source`, which, like the other arguments, `published.load` explains.

    Where they are not given, VARIANT=SOURCE names the variant, and SOURCE@COMMIT the revision, as a command line needs.
    `device` is where it runs, by default a GPU if there is one; there it calculates in float16, which is
    nearer to float32 than bfloat16 is, elsewhere in float32. `compiles` has torch write kernels for the usual size of
    a view while it warms up, which takes minutes. Raises what `published.load` raises.
    """

    name = "birefnet"
    quality = "Made for photographs of all kinds; fine edges, hair among them, become soft."

    def __init__(
        self,
        source: str | Path | None,
        *,
        variant: str | None = None,
        tile_order: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        device: str | None = None,
        compiles: bool = False,
    ) -> None:
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._type = torch.float16 if self._device.type == "cuda" else torch.float32
        named, where, commit = _named(source)
        model: Any = published.load(
            where,
            variant=variant or named,
            tile_order=tile_order,
            revision=revision or commit,
            local_files_only=local_files_only,
        )
        self._model: BiRefNet = model.to(self._device, self._type, memory_format=torch.channels_last)
        self._height, self._width = model.config.resolution
        self._usual_shape = (self._height, self._width, 3)
        self._keeps_proportions: bool = model.config.keeps_proportions
        # For one size alone: every other one would be compiled while pictures wait.
        self._compiled: Any = torch.compile(self._model, fullgraph=True) if compiles else None
        usual = min(self._height, self._width)
        self.resolutions: tuple[int, ...] = (usual, *(side for side in SIDES if side != usual))
        self.pixels_together = PIXELS_TOGETHER if self._device.type == "cuda" else 0

    def view(self, rgb: Bytes, resolution: int | None) -> Bytes:
        """Return `rgb` (H, W, 3) uint8 at the size that the weights were trained at, or as large as is asked for.

        `resolution` is the shorter side in pixels. Proportions are not kept, because the networks were trained that
        way; for those that were not, the view has the picture's proportions and about as many pixels.
        """
        scale = (resolution or self.resolutions[0]) / self.resolutions[0]
        high, wide = self._height * scale, self._width * scale
        if self._keeps_proportions:
            high, wide = _proportioned(high * wide, rgb.shape[0] / rgb.shape[1])
        return resized(rgb, *(max(1, round(side / SIDE_STEP)) * SIDE_STEP for side in (high, wide)))

    def alphas(self, views: Sequence[Bytes]) -> Sequence[Bytes]:
        """Take views (h, w, 3) uint8 of one shape, sides multiples of 32; return (h, w) uint8: 255 foreground.

        Raises EngineFailed where the network's answer is no number: what is cut out by that is worth no money.
        """
        with torch.inference_mode():
            pictures = torch.from_numpy(np.stack(views)).to(self._device)
            logits = self._network_for(views[0])(normalised(pictures).to(self._type, memory_format=torch.channels_last))
            if not logits.isfinite().all():
                log.warning("the network answered with logits that are not finite")
                raise EngineFailed  # by this picture alone: no sign that the device is broken
            alphas = (logits[:, 0].float().sigmoid() * 255).round().to(torch.uint8)
        return list(alphas.cpu().numpy())

    def enlarge(self, alpha: Bytes, view: Bytes, rgb: Bytes) -> Bytes:
        """Bring `alpha` (h, w) uint8 to the size of `rgb` (H, W, 3)."""
        del view
        return resized(alpha, *rgb.shape[:2])

    def warm_up(self) -> None:
        """Run pictures of the usual size, so that kernels are chosen, or compiled, and memory is taken.

        torch compiles for one picture, and again for any larger number.
        """
        view = np.zeros(self._usual_shape, np.uint8)
        self.alphas([view])
        if self._compiled is not None:
            self.alphas([view, view])

    def _network_for(self, view: Bytes) -> Any:
        return self._model if self._compiled is None or view.shape != self._usual_shape else self._compiled

    def is_out_of_memory(self, error: Exception) -> bool:
        """Whether the device had too little memory for the call."""
        return faults.is_out_of_memory(error)

    def is_lost(self, error: Exception) -> bool:
        """Whether the device is broken for this process."""
        return faults.is_lost(error)


def _named(source: str | Path | None) -> tuple[str | None, str | Path, str | None]:
    """The variant, the source and the commit of VARIANT=SOURCE@COMMIT, the first and the last of which may lack."""
    if source is None:
        raise CheckpointError(
            f"The engine birefnet needs weights: a folder, an id on the hub, or one of {', '.join(variants.VARIANTS)}."
        )
    name, _, where = str(source).partition("=")
    if not where or name not in variants.VARIANTS:
        name, where = "", str(source)
    pinned = _PINNED.fullmatch(where)
    # A folder may have such a name as well, and is meant then.
    if pinned is None or Path(where).exists():
        return name or None, where, None
    return name or None, pinned[1], pinned[2]


def _proportioned(pixels: float, ratio: float) -> tuple[float, float]:
    """Height and width with about so many pixels and that ratio, which is brought into what is trained with."""
    ratio = min(max(ratio, 1 / RATIO_MAX), RATIO_MAX)
    return (pixels * ratio) ** 0.5, (pixels / ratio) ** 0.5


def normalised(pictures: Tensor) -> Tensor:
    """Turn pictures (N, H, W, 3) uint8 into what the network takes: (N, 3, H, W) float32."""
    mean, deviation = (torch.tensor(values, device=pictures.device) for values in (MEAN, DEVIATION))
    return ((pictures / 255 - mean) / deviation).permute(0, 3, 1, 2)


def resized(pixels: Bytes, height: int, width: int) -> Bytes:
    """Bring pixels (h, w) or (h, w, 3) uint8 to height x width: averaged along a side that shrinks, then linear.

    Each side by itself: a strip may shrink along one and grow along the other.
    """
    least = min(width, pixels.shape[1]), min(height, pixels.shape[0])
    averaged = cv2.resize(pixels, least, interpolation=cv2.INTER_AREA)
    return cv2.resize(averaged, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
