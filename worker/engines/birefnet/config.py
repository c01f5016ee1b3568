"""What distinguishes one BiRefNet from another: the sizes of its backbone and the order of its image tiles."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Self

from transformers import PreTrainedConfig

from worker.engines.birefnet import variants


class BiRefNetConfig(PreTrainedConfig):
    """The sizes of a network, saved beside its weights as config.json; made by keyword, or by name with `variant`.

    `resolution` is (height, width) in pixels, `keeps_proportions` tells whether only their product is meant. Raises
    ValueError for an unknown tile order.
    """

    model_type = "nijika-birefnet"

    embed_dim: int = variants.TINY.embed_dim
    depths: Sequence[int] = variants.TINY.depths
    heads: Sequence[int] = variants.TINY.heads
    window: int = variants.TINY.window
    tile_order: str = "chw"
    resolution: Sequence[int] = variants.SQUARE
    keeps_proportions: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        self.depths, self.heads, self.resolution = tuple(self.depths), tuple(self.heads), tuple(self.resolution)
        variants.tile_order(self.tile_order)
        super().__post_init__(**kwargs)

    @classmethod
    def variant(cls, name: str, tile_order: str | None = None) -> Self:
        """The configuration of a published variant, with another order of tiles if one is given.

        Raises ValueError for an unknown name or order.
        """
        found = variants.find(name)
        return cls(
            **asdict(found.backbone),
            tile_order=found.tile_order if tile_order is None else tile_order,
            resolution=found.resolution,
            keeps_proportions=found.keeps_proportions,
        )

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """The channels of the backbone's maps, finest first."""
        return tuple(self.embed_dim * 2**stage for stage in range(len(self.depths)))

    @property
    def encoder_channels(self) -> tuple[int, ...]:
        """The channels of the maps of both backbone runs side by side, finest first."""
        return tuple(2 * channels for channels in self.stage_channels)
