"""Modulated deformable convolution: each tap of the kernel looks where the network tells it to, and as hard.

Zhu et al., Deformable ConvNets v2, CVPR 2019. Written for torch.compile and torch.export: plain operations,
no custom kernel, no branch on values.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

# So many sampled values of one picture at most are held at a time (128 MiB in float32); larger maps go in strips.
SAMPLES_MAX = 2**25


class DeformableConvolution(nn.Module):
    """A square convolution of stride 1 that keeps the size, learns its offsets and weighs its taps from 0 to 2."""

    def __init__(self, inner: int, outer: int, kernel: int) -> None:
        super().__init__()
        taps, padding = kernel * kernel, kernel // 2
        self.offset_conv = nn.Conv2d(inner, 2 * taps, kernel, padding=padding)
        self.modulator_conv = nn.Conv2d(inner, taps, kernel, padding=padding)
        self.regular_conv = nn.Conv2d(inner, outer, kernel, padding=padding, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Take (N, inner, H, W) and return (N, outer, H, W)."""
        mask = 2 * torch.sigmoid(self.modulator_conv(maps))
        return convolve(maps, self.offset_conv(maps), mask, self.regular_conv.weight, self.regular_conv.bias)


def convolve(maps: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve maps (N, C, H, W) with weight (O, C, k, k), k odd, stride 1, padding k // 2; return (N, O, H, W).

    For tap t = row * k + column, offset (N, 2 k k, H, W) holds dy in channel 2 t and dx in 2 t + 1, in pixels, and
    mask (N, k k, H, W) what the sample is multiplied with. Samples are bilinear; outside of the map is zero.
    Places are computed, and sampled, in float32 also where the maps are bfloat16 or float16: half precision is
    off by a quarter of a pixel at column 64 already.
    """
    kernel, height, width = weight.shape[-1], maps.shape[2], maps.shape[3]
    rows = max(1, SAMPLES_MAX // (maps.shape[1] * kernel * kernel * width))
    grid = places(offset, kernel)
    flat = weight.flatten(1)
    strips = [
        flat @ _sample(maps.float(), grid[:, :, top : top + rows], mask[:, :, top : top + rows]).to(maps.dtype)
        for top in range(0, height, rows)
    ]
    convolved = torch.cat(strips, 2).view(maps.shape[0], -1, height, width)
    return convolved if bias is None else convolved + bias.view(1, -1, 1, 1)


def places(offset: Tensor, kernel: int) -> Tensor:
    """Where each tap looks: (N, taps, H, W, 2) float32, x then y, -1 and 1 being the outer edges of the map.

    Pixel p of n lies at (2 p + 1) / n - 1, its centre, so that a map of one pixel needs no exception.
    """
    pictures, _, height, width = offset.shape
    moved = offset.float().view(pictures, kernel * kernel, 2, height, width)
    tap = torch.arange(kernel * kernel, device=offset.device).view(1, -1, 1, 1)
    y = torch.arange(height, device=offset.device).view(1, 1, -1, 1) + (tap // kernel - kernel // 2)
    x = torch.arange(width, device=offset.device).view(1, 1, 1, -1) + (tap % kernel - kernel // 2)
    return torch.stack(
        [(2 * (moved[:, :, 1] + x) + 1) / width - 1, (2 * (moved[:, :, 0] + y) + 1) / height - 1], dim=-1
    )


def _sample(maps: Tensor, grid: Tensor, mask: Tensor) -> Tensor:
    """What all taps see in a strip of rows: (N, C * taps, rows * W) float32."""
    pictures, taps, rows, width, _ = grid.shape
    seen = functional.grid_sample(maps, grid.reshape(pictures, taps * rows, width, 2), align_corners=False)
    seen = seen.view(pictures, -1, taps, rows * width) * mask.float().reshape(pictures, 1, taps, rows * width)
    return seen.flatten(1, 2)
