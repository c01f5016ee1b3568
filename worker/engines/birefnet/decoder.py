"""The decoder: from the coarsest map to the image's size, with the image and the encoder's maps at its side.

Zheng et al., Bilateral Reference for High-Resolution Dichotomous Image Segmentation, CAAI AIR 2024.
"""

import torch
from torch import Tensor, nn

from worker.engines.birefnet import variants
from worker.engines.birefnet.aspp import DeformableAspp
from worker.engines.birefnet.config import BiRefNetConfig
from worker.engines.birefnet.resize import resize
from worker.engines.birefnet.tiles import ImageBlock

INNER_CHANNELS = 64
GATE_CHANNELS = 16
IMAGE_SHARE = 8
TILES = {5: 32, 4: 16, 3: 8, 2: 4, 1: 1}
GATED = (4, 3, 2)


class Decoder(nn.Module):
    """Four blocks, coarse to fine; behind each of the first three a gate, and the encoder's next finer map.

    `conv_ms_spvn` and `gdt_convs_pred` serve training only; they are here because published files hold them.
    """

    def __init__(self, config: BiRefNetConfig) -> None:
        super().__init__()
        order = variants.tile_order(config.tile_order)
        encoder = dict(enumerate(config.encoder_channels, 1))
        image = {number: encoder[min(number, 4)] // IMAGE_SHARE for number in TILES}
        outer = {4: encoder[3], 3: encoder[2], 2: encoder[1], 1: encoder[1] // 2}
        for number, count in TILES.items():
            self.add_module(f"ipt_blk{number}", ImageBlock(count, image[number], order))
        for number, channels in outer.items():
            self.add_module(f"decoder_block{number}", DecoderBlock(encoder[number] + image[number + 1], channels))
        self.conv_out1 = nn.Sequential(nn.Conv2d(outer[1] + image[1], 1, 1))
        for number in GATED:
            self.add_module(f"lateral_block{number}", Lateral(encoder[number - 1]))
        for number in GATED:
            self.add_module(f"conv_ms_spvn_{number}", nn.Conv2d(outer[number], 1, 1))
        for number in GATED:
            self.add_module(f"gdt_convs_{number}", gate_features(outer[number]))
        for name in ("gdt_convs_pred", "gdt_convs_attn"):
            for number in GATED:
                self.add_module(f"{name}_{number}", nn.Sequential(nn.Conv2d(GATE_CHANNELS, 1, 1)))

    def forward(self, image: Tensor, skips: list[Tensor], maps: Tensor) -> Tensor:
        """Take the image (N, 3, H, W), the encoder's maps finest first, and the squeezed one; return (N, 1, H, W)."""
        part = self.get_submodule
        for number in GATED:
            maps = self._with_image(maps, image, number)
            gate = part(f"gdt_convs_attn_{number}")(part(f"gdt_convs_{number}")(maps))
            skip = skips[number - 2]
            maps = resize(maps * torch.sigmoid(gate), skip.shape[2:]) + part(f"lateral_block{number}")(skip)
        maps = resize(self._with_image(maps, image, 1), image.shape[2:])
        logits: Tensor = self.conv_out1(torch.cat([maps, part("ipt_blk1")(image)], 1))
        return logits

    def _with_image(self, maps: Tensor, image: Tensor, number: int) -> Tensor:
        tiles = self.get_submodule(f"ipt_blk{number + 1}")(image)
        decoded: Tensor = self.get_submodule(f"decoder_block{number}")(torch.cat([maps, tiles], 1))
        return decoded


class DecoderBlock(nn.Module):
    """Two convolutions with attention between them, through a waist of 64 channels."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(inner, INNER_CHANNELS, 3, padding=1)
        self.dec_att = DeformableAspp(INNER_CHANNELS)
        self.conv_out = nn.Conv2d(INNER_CHANNELS, outer, 3, padding=1)
        self.bn_in = nn.BatchNorm2d(INNER_CHANNELS)
        self.bn_out = nn.BatchNorm2d(outer)

    def forward(self, maps: Tensor) -> Tensor:
        """Take (N, inner, H, W) and return (N, outer, H, W)."""
        decoded: Tensor = self.bn_out(self.conv_out(self.dec_att(torch.relu(self.bn_in(self.conv_in(maps))))))
        return decoded


class Lateral(nn.Module):
    """What the encoder's map adds to the decoder's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Take (N, C, H, W) and keep the shape."""
        added: Tensor = self.conv(maps)
        return added


def gate_features(channels: int) -> nn.Sequential:
    """What a gate is computed from: (N, C, H, W) to (N, 16, H, W)."""
    return nn.Sequential(nn.Conv2d(channels, GATE_CHANNELS, 3, padding=1), nn.BatchNorm2d(GATE_CHANNELS), nn.ReLU())
