"""A picture's foreground in either order of image tiles, for a person to look at.

No number computed from the two results proved to tell the right one: how decided they are, and how well their edges
lie on the picture's, favoured either order about as often with small networks trained for the purpose.
"""

import torch
from torch import Tensor

from worker.engines.birefnet.model import BiRefNet
from worker.engines.birefnet.tiles import ImageBlock
from worker.engines.birefnet.variants import TILE_ORDERS, TileOrder


@torch.inference_mode()
def run(model: BiRefNet, picture: Tensor) -> dict[TileOrder, Tensor]:
    """Give the alpha (H, W) in 0..1 of a normalised picture (1, 3, H, W) in both orders; the model keeps its own."""
    blocks = [block for block in model.modules() if isinstance(block, ImageBlock)]
    own = blocks[0].order
    try:
        return {order: _alpha(model, blocks, picture, order) for order in TILE_ORDERS}
    finally:
        _set(blocks, own)


def _alpha(model: BiRefNet, blocks: list[ImageBlock], picture: Tensor, order: TileOrder) -> Tensor:
    _set(blocks, order)
    alpha: Tensor = model(picture)[0, 0].float().sigmoid()
    return alpha


def _set(blocks: list[ImageBlock], order: TileOrder) -> None:
    for block in blocks:
        block.order = order
