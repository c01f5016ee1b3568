"""The attention of a decoder block: deformable convolutions of several widths side by side, and the map's mean.

After Chen et al., Rethinking Atrous Convolution, 2017 (ASPP), with deformable instead of dilated branches.
"""

import torch
from torch import Tensor, nn

from worker.engines.birefnet.deform import DeformableConvolution

BRANCH_CHANNELS = 256
KERNELS = (1, 3, 7)


class DeformableAspp(nn.Module):
    """Five views of one map joined to as many channels as it had."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.aspp1 = Branch(channels, 1)
        self.aspp_deforms = nn.ModuleList(Branch(channels, kernel) for kernel in KERNELS)
        self.global_avg_pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, BRANCH_CHANNELS, 1, bias=False),
            nn.BatchNorm2d(BRANCH_CHANNELS),
            nn.ReLU(),
        )
        self.conv1 = nn.Conv2d((2 + len(KERNELS)) * BRANCH_CHANNELS, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout(0.5)

    def forward(self, maps: Tensor) -> Tensor:
        """Take (N, C, H, W) and keep the shape."""
        views = [branch(maps) for branch in (self.aspp1, *self.aspp_deforms)]
        mean = self.global_avg_pool(maps).expand_as(views[0])
        joined: Tensor = self.dropout(torch.relu(self.bn1(self.conv1(torch.cat([*views, mean], 1)))))
        return joined


class Branch(nn.Module):
    """One deformable convolution with norm and ReLU."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.atrous_conv = DeformableConvolution(channels, BRANCH_CHANNELS, kernel)
        self.bn = nn.BatchNorm2d(BRANCH_CHANNELS)

    def forward(self, maps: Tensor) -> Tensor:
        """Take (N, C, H, W) and return (N, 256, H, W)."""
        return torch.relu(self.bn(self.atrous_conv(maps)))
