"""The generator of most Real-ESRGAN models: residual-in-residual dense blocks.

Wang et al., ESRGAN, ECCVW 2018, section 3.1; Real-ESRGAN, ICCVW 2021, section 3.3 for the fold. Written from the
published names and shapes of the weights.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2
RESIDUAL_SCALE = 0.2
NETWORK_SCALE = 4


class RRDBNet(nn.Module):
    """Enlarges by 2 or 4; for 2 the picture is folded to half its size first, and enlarged by 4."""

    def __init__(self, scale: int = 4, features: int = 64, blocks: int = 23, growth: int = 32) -> None:
        super().__init__()
        self.scale = scale
        self.fold = NETWORK_SCALE // scale
        self.conv_first = convolution(3 * self.fold**2, features)
        self.body = nn.Sequential(*(ResidualBlock(features, growth) for _ in range(blocks)))
        self.conv_body = convolution(features, features)
        self.conv_up1 = convolution(features, features)
        self.conv_up2 = convolution(features, features)
        self.conv_hr = convolution(features, features)
        self.conv_last = convolution(features, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        """Take RGB (N, 3, H, W) in 0..1, for scale 2 with even sides; return (N, 3, scale H, scale W), not clamped."""
        maps = self.conv_first(functional.pixel_unshuffle(pictures, self.fold))
        maps = maps + self.conv_body(self.body(maps))
        for grow in (self.conv_up1, self.conv_up2):
            maps = leaky(grow(functional.interpolate(maps, scale_factor=2.0, mode="nearest")))
        enlarged: Tensor = self.conv_last(leaky(self.conv_hr(maps)))
        return enlarged


class ResidualBlock(nn.Module):
    """Three dense blocks in a row, a fifth of their result added to what came in."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(features, growth)
        self.rdb2 = DenseBlock(features, growth)
        self.rdb3 = DenseBlock(features, growth)

    def forward(self, maps: Tensor) -> Tensor:
        """Take (N, features, H, W) and keep the shape."""
        mixed: Tensor = maps + RESIDUAL_SCALE * self.rdb3(self.rdb2(self.rdb1(maps)))
        return mixed


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees what came in and all that the ones before it made of it."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.conv1 = convolution(features, growth)
        self.conv2 = convolution(features + growth, growth)
        self.conv3 = convolution(features + 2 * growth, growth)
        self.conv4 = convolution(features + 3 * growth, growth)
        self.conv5 = convolution(features + 4 * growth, features)

    def forward(self, maps: Tensor) -> Tensor:
        """Take (N, features, H, W) and keep the shape."""
        seen = maps
        for convolve in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen = torch.cat([seen, leaky(convolve(seen))], 1)
        mixed: Tensor = maps + RESIDUAL_SCALE * self.conv5(seen)
        return mixed


def convolution(inner: int, outer: int) -> nn.Conv2d:
    """A 3 x 3 convolution that keeps the size."""
    return nn.Conv2d(inner, outer, 3, padding=1)


def leaky(maps: Tensor) -> Tensor:
    """The activation of the whole network."""
    return functional.leaky_relu(maps, SLOPE)
