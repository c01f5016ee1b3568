"""Attention within the windows of a map, and the masks that keep wrapped-around neighbours apart."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class WindowAttention(nn.Module):
    """Multi-head self-attention inside each window, with a learned bias for every relative position.

    Liu et al., Swin Transformer, ICCV 2021, section 3.2.
    """

    relative_position_index: Tensor

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.register_buffer("relative_position_index", relative_positions(window))
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """Take windows (N, count, places, channels), with a mask (count, places, places) or None; keep the shape."""
        pictures, count, places, channels = windows.shape
        # A window's heads and the windows themselves share one axis, so that one mask serves every picture.
        qkv = self.qkv(windows).view(pictures, count, places, 3, self.heads, channels // self.heads)
        query, key, value = qkv.permute(3, 0, 1, 4, 2, 5).reshape(3, pictures, count * self.heads, places, -1)
        bias = self._bias(count, mask).to(query.dtype)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        mixed = mixed.view(pictures, count, self.heads, places, -1).transpose(2, 3)
        projected: Tensor = self.proj(mixed.reshape(pictures, count, places, channels))
        return projected

    def _bias(self, count: int, mask: Tensor | None) -> Tensor:
        places = self.relative_position_index.shape[0]
        bias = self.relative_position_bias_table[self.relative_position_index.flatten()]
        bias = bias.view(places, places, self.heads).permute(2, 0, 1)
        if mask is None:
            return bias.expand(count, -1, -1, -1).reshape(1, count * self.heads, places, places)
        return (bias + mask.to(bias.dtype)[:, None]).reshape(1, count * self.heads, places, places)


def relative_positions(window: int) -> Tensor:
    """Number each pair of places by their difference: (window**2, window**2) int64, (dy, dx) row by row."""
    place = torch.arange(window * window)
    y, x = place // window, place % window
    dy, dx = y[:, None] - y[None], x[:, None] - x[None]
    return (dy + window - 1) * (2 * window - 1) + dx + window - 1


def partition(maps: Tensor, window: int) -> Tensor:
    """Cut maps (N, H, W, C), sides multiples of the window, into windows (N, count, window**2, C), row by row."""
    pictures, height, width, channels = maps.shape
    cut = maps.view(pictures, height // window, window, width // window, window, channels)
    return cut.transpose(2, 3).reshape(pictures, -1, window * window, channels)


def join(windows: Tensor, window: int, height: int, width: int) -> Tensor:
    """Put the windows of `partition` together again: (N, height, width, C)."""
    pictures, _, _, channels = windows.shape
    cut = windows.view(pictures, height // window, width // window, window, window, channels)
    return cut.transpose(2, 3).reshape(pictures, height, width, channels)


def shift_mask(height: int, width: int, window: int, shift: int, device: torch.device) -> Tensor:
    """What each place of a shifted map must not see: (count, places, places) float32, 0 or -inf.

    The sides are those of the padded map, multiples of the window.
    """
    rows, columns = (_regions(side, window, shift, device) for side in (height, width))
    regions = (3 * rows[:, None] + columns[None]).view(1, height, width, 1)
    windows = partition(regions, window)[0, :, :, 0]
    apart = windows[:, :, None] != windows[:, None, :]
    return torch.zeros(apart.shape, device=device).masked_fill(apart, -math.inf)


def _regions(side: int, window: int, shift: int, device: torch.device) -> Tensor:
    place = torch.arange(side, device=device)
    return (place >= side - window).long() + (place >= side - shift).long()
