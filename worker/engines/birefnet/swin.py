"""The backbone: a Swin Transformer that gives one map for each of its four stages (Liu et al., ICCV 2021)."""

from torch import Tensor, nn
from torch.nn import functional

from worker.engines.birefnet import windows
from worker.engines.birefnet.config import BiRefNetConfig

PATCH = 4
MLP_RATIO = 4


class Swin(nn.Module):
    """Four stages, each at half the size of the one before, with twice its channels."""

    def __init__(self, config: BiRefNetConfig) -> None:
        super().__init__()
        channels = config.stage_channels
        self.patch_embed = PatchEmbedding(channels[0])
        self.layers = nn.ModuleList(
            Stage(width, depth, heads, config.window, merges=number < len(channels) - 1)
            for number, (width, depth, heads) in enumerate(zip(channels, config.depths, config.heads, strict=True))
        )
        for number, width in enumerate(channels):
            self.add_module(f"norm{number}", nn.LayerNorm(width))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Take (N, 3, H, W), sides multiples of 4; return maps (N, C, H / 4, W / 4), then half as large, and so on."""
        maps = self.patch_embed(image)
        outputs = []
        for number, stage in enumerate(self.layers):
            seen, maps = stage(maps)
            outputs.append(self.get_submodule(f"norm{number}")(seen).permute(0, 3, 1, 2).contiguous())
        return outputs


class PatchEmbedding(nn.Module):
    """Turns each 4 x 4 patch of the image into one vector."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, PATCH, PATCH)
        self.norm = nn.LayerNorm(channels)

    def forward(self, image: Tensor) -> Tensor:
        """Take (N, 3, H, W) and return (N, H / 4, W / 4, C)."""
        embedded: Tensor = self.norm(self.proj(image).permute(0, 2, 3, 1))
        return embedded


class Stage(nn.Module):
    """Blocks in pairs, plain and shifted, and behind them the merging of patches for the next stage."""

    def __init__(self, channels: int, depth: int, heads: int, window: int, *, merges: bool) -> None:
        super().__init__()
        self.window = window
        self.blocks = nn.ModuleList(
            Block(channels, heads, window, shift=window // 2 if number % 2 else 0) for number in range(depth)
        )
        self.downsample = PatchMerging(channels) if merges else None

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Take (N, H, W, C); return it worked on, and merged to (N, ⌈H / 2⌉, ⌈W / 2⌉, 2 C) if it merges."""
        height, width = (-(-side // self.window) * self.window for side in maps.shape[1:3])
        mask = windows.shift_mask(height, width, self.window, self.window // 2, maps.device)
        for block in self.blocks:
            maps = block(maps, mask)
        return maps, maps if self.downsample is None else self.downsample(maps)


class Block(nn.Module):
    """Attention in windows, then an MLP on each place, each added to what came in."""

    def __init__(self, channels: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(channels)
        self.attn = windows.WindowAttention(channels, heads, window)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels)

    def forward(self, maps: Tensor, mask: Tensor) -> Tensor:
        """Take (N, H, W, C) and the mask of `windows.shift_mask`; keep the shape."""
        maps = maps + self._attended(self.norm1(maps), mask)
        mixed: Tensor = maps + self.mlp(self.norm2(maps))
        return mixed

    def _attended(self, maps: Tensor, mask: Tensor) -> Tensor:
        _, height, width, _ = maps.shape
        maps = functional.pad(maps, (0, 0, 0, -width % self.window, 0, -height % self.window))
        padded = maps.shape[1:3]
        if self.shift:
            maps = maps.roll((-self.shift, -self.shift), (1, 2))
        cut = self.attn(windows.partition(maps, self.window), mask if self.shift else None)
        maps = windows.join(cut, self.window, *padded)
        if self.shift:
            maps = maps.roll((self.shift, self.shift), (1, 2))
        return maps[:, :height, :width]


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, MLP_RATIO * channels)
        self.fc2 = nn.Linear(MLP_RATIO * channels, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Take (…, C) and keep the shape."""
        mixed: Tensor = self.fc2(functional.gelu(self.fc1(maps)))
        return mixed


class PatchMerging(nn.Module):
    """Joins each 2 x 2 places to one with twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)
        self.norm = nn.LayerNorm(4 * channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Take (N, H, W, C) and return (N, ⌈H / 2⌉, ⌈W / 2⌉, 2 C); an odd side gets a row or column of zeros."""
        pictures, height, width, channels = maps.shape
        maps = functional.pad(maps, (0, 0, 0, width % 2, 0, height % 2))
        phases = maps.view(pictures, -(-height // 2), 2, -(-width // 2), 2, channels)
        # The published order of the four phases is column by column.
        joined = phases.permute(0, 1, 3, 4, 2, 5).flatten(3)
        merged: Tensor = self.reduction(self.norm(joined))
        return merged
