"""Bilinear resizing of maps, the one way in which the network does it."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Bring maps (N, C, H, W) to (N, C, *size); the centres of the corner pixels stay where they are."""
    return functional.interpolate(maps, tuple(size), mode="bilinear", align_corners=True)
