"""BiRefNet: from a normalised picture to the logits of its foreground.

Zheng et al., Bilateral Reference for High-Resolution Dichotomous Image Segmentation, CAAI AIR 2024.
Written from the published names and shapes of the weights, and from facts about the architecture.
"""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from worker.engines.birefnet.config import BiRefNetConfig
from worker.engines.birefnet.decoder import Decoder, DecoderBlock
from worker.engines.birefnet.resize import resize
from worker.engines.birefnet.swin import Swin

SIDE_STEP = 32


class BiRefNet(PreTrainedModel):
    """The whole network, under the published names of its weights."""

    config_class = BiRefNetConfig
    base_model_prefix = ""
    main_input_name = "image"
    input_modalities = "image"
    config: BiRefNetConfig

    def __init__(self, config: BiRefNetConfig) -> None:
        super().__init__(config)
        channels = config.encoder_channels
        self.bb = Swin(config)
        self.squeeze_module = nn.Sequential(DecoderBlock(sum(channels), channels[-1]))
        self.decoder = Decoder(config)
        self.post_init()

    def forward(self, image: Tensor) -> Tensor:
        """Take RGB (N, 3, H, W), normalised with the mean and deviation of ImageNet; return logits (N, 1, H, W).

        The sigmoid of a logit is how much of the pixel is foreground. Raises ValueError if a side is no multiple
        of 32.
        """
        if image.shape[2] % SIDE_STEP or image.shape[3] % SIDE_STEP:
            raise ValueError(f"The sides have to be multiples of {SIDE_STEP}, not {tuple(image.shape[2:])}.")
        maps = self._encode(image)
        context = torch.cat([*(resize(finer, maps[-1].shape[2:]) for finer in maps[:-1]), maps[-1]], 1)
        logits: Tensor = self.decoder(image, maps, self.squeeze_module(context))
        return logits

    def _encode(self, image: Tensor) -> list[Tensor]:
        full = self.bb(image)
        half = self.bb(resize(image, (image.shape[2] // 2, image.shape[3] // 2)))
        return [torch.cat([large, resize(small, large.shape[2:])], 1) for large, small in zip(full, half, strict=True)]
