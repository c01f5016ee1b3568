"""Networks with the recipe's weights for the tests of the neural engines."""

from typing import TypeVar

import torch
from torch import Tensor, nn

from tests.worker import recipe
from worker.engines.birefnet import BiRefNet, BiRefNetConfig

Module = TypeVar("Module", bound=nn.Module)

# Two cores are shared with whatever else runs here.
torch.set_num_threads(2)


def with_recipe(module: Module) -> Module:
    """Give the module the weights that follow from its keys, and switch it to evaluation."""
    made = {key: torch.from_numpy(recipe.weight(key, tuple(old.shape))) for key, old in module.state_dict().items()}
    module.load_state_dict(made)
    return module.eval()


def small_birefnet(tile_order: str = "chw") -> BiRefNet:
    """The whole architecture with few channels and blocks: it runs in milliseconds."""
    config = BiRefNetConfig(embed_dim=16, depths=(2, 1, 1, 1), heads=(1, 2, 4, 8), window=4, tile_order=tile_order)
    return with_recipe(BiRefNet(config))


def picture(*shape: int) -> Tensor:
    """A made picture (N, 3, H, W), normalised as BiRefNet takes it."""
    return torch.from_numpy(1.7 * recipe.uniform("input", shape)).float()
