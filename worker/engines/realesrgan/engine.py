"""The upscaler that enlarges pictures with the Real-ESRGAN models whose weights it finds in a folder."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worker.checkpoints import CheckpointError
from worker.engines import faults
from worker.engines.realesrgan import models, published, tiling
from worker.pixels import Bytes
from worker.problems import EngineFailed

PIXELS_TOGETHER = 8 * 256 * 256

log = logging.getLogger("worker")


class Upscaler:
    """Real-ESRGAN with the weights in `folder`, one NAME.safetensors or published NAME.pth for each model.

    `device` is where it runs, by default a GPU if there is one, in float16 there. Raises CheckpointError if there is
    no model in the folder, or if one cannot be believed.
    """

    name = "realesrgan"
    quality = "Sharp and clean; fine detail is invented, and may differ from what was there."

    def __init__(self, folder: str | Path | None, *, device: str | None = None) -> None:
        if folder is None:
            raise CheckpointError("The upscaler realesrgan needs a folder with its weights (docs/models.md).")
        folder = Path(folder)
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._type = torch.float16 if self._device.type == "cuda" else torch.float32
        self.models: tuple[str, ...] = tuple(name for name in models.MODELS if published.lies_in(name, folder))
        if not self.models:
            raise CheckpointError(f"{folder} holds no model. There are {', '.join(models.MODELS)}, each as .pth.")
        self._networks = {name: self._placed(published.load(name, folder)) for name in self.models}
        self._noisy = {
            name: self._placed(published.load(twin, folder)).state_dict()
            for name in self.models
            if (twin := models.MODELS[name].noisy) and published.lies_in(twin, folder)
        }
        self.denoising = frozenset(self._noisy)
        self.pixels_together = PIXELS_TOGETHER if self._device.type == "cuda" else 0

    def pixels_made(self, width: int, height: int, model: str, scale: float) -> int:
        """Those of the result, or of what the network makes before it is averaged down to that."""
        own = models.MODELS[model].scale
        return max(width * own * height * own, round(width * scale) * round(height * scale))

    def cut(self, rgb: Bytes, model: str) -> Iterator[Bytes]:
        """Cut `rgb` (H, W, 3) uint8 into tiles (h, w, 3) uint8 of one of few shapes, one when it is asked for."""
        del model
        return tiling.cut(rgb)

    def enlarge(self, tiles: Sequence[Bytes], model: str, denoise: float | None) -> Sequence[Bytes]:
        """Take tiles (h, w, 3) uint8 of one shape; return each enlarged by the model's own scale, in order.

        `denoise` is 0 (keep the noise) to 1 (remove it), None is what the model does alone, which is 1. Raises
        ValueError if it is given for a model that is not one of `denoising`, EngineFailed where the answer is no
        number.
        """
        weights = self._weights(model, denoise)
        with torch.inference_mode():
            pictures = torch.from_numpy(np.stack(tiles)).to(self._device).permute(0, 3, 1, 2).to(self._type) / 255
            enlarged: Tensor = torch.func.functional_call(self._networks[model], weights, (pictures,))
            if not enlarged.isfinite().all():
                log.warning("the network answered with colours that are not finite")
                raise EngineFailed  # by this picture alone: no sign that the device is broken
            whole = (enlarged.float().clamp(0, 1) * 255).round().to(torch.uint8)
        return list(whole.permute(0, 2, 3, 1).contiguous().cpu().numpy())

    def canvas(self, rgb: Bytes, model: str) -> tiling.Canvas:
        """Where the enlarged tiles of `rgb` (H, W, 3) uint8 are joined."""
        return tiling.Canvas(rgb.shape[0], rgb.shape[1], models.MODELS[model].scale)

    def warm_up(self) -> None:
        """Run one tile of the largest shape through the usual model."""
        side = tiling.SIDES[-1]
        self.enlarge([np.zeros((side, side, 3), np.uint8)], self.models[0], None)

    def is_out_of_memory(self, error: Exception) -> bool:
        """Whether the device had too little memory for the call."""
        return faults.is_out_of_memory(error)

    def is_lost(self, error: Exception) -> bool:
        """Whether the device is broken for this process."""
        return faults.is_lost(error)

    def _weights(self, model: str, denoise: float | None) -> dict[str, Tensor]:
        own = self._networks[model].state_dict()
        if denoise is None:
            return own
        if model not in self._noisy:
            raise ValueError(f"{model} does not take a strength of denoising.")
        return {key: torch.lerp(noisy, own[key], denoise) for key, noisy in self._noisy[model].items()}

    def _placed(self, network: Any) -> torch.nn.Module:
        # As the tiles lie in memory; on a GPU convolutions in float16 need it to be fast.
        placed: torch.nn.Module = network.to(self._device, self._type, memory_format=torch.channels_last)
        return placed
