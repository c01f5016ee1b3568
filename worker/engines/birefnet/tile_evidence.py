"""What weights themselves say about the order of image tiles that they were trained with.

The order changed in 2024 without a change of names, so a file fits both. But training leaves a trace in the first
convolution over the tiles: the three colours of one place, and places that touch, hold nearly the same in a
picture, so they are given similar weights. In the right order similar weights lie where colours and neighbours
are; in the wrong order unrelated ones do.

This needs no picture and no run of the network. It cannot say anything about weights that were not trained, nor
about ones in which the start outweighs what was learned: then the difference drowns in chance, and the verdict is
None. It has been tried on small networks trained for the purpose, not on the published weights.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from worker.checkpoints import State
from worker.engines.birefnet.decoder import TILES
from worker.engines.birefnet.variants import TILE_ORDERS, TileOrder

# By chance alone a difference of so many standard deviations does not come about in a thousand million files.
DEVIATIONS_SURE = 6.0


@dataclass(frozen=True)
class Evidence:
    """How alike (mean cosine, -1..1) the weights are that ought to be, in each order, and what follows.

    `deviations` is, for each block, how much more alike they are in chw than in whc, in standard deviations of what
    untrained weights would show.
    """

    likeness: dict[TileOrder, float]
    deviations: dict[str, float]

    @property
    def verdict(self) -> TileOrder | None:
        """The order that fits; None where chance would do as well, and where the blocks contradict each other."""
        speaking = {value > 0 for value in self.deviations.values() if abs(value) > DEVIATIONS_SURE}
        if len(speaking) != 1:
            return None
        return "chw" if speaking.pop() else "whc"


def weigh(state: State) -> Evidence:
    """Look at the convolutions over tiles, `decoder.ipt_blk5` to `2`, in a BiRefNet's weights."""
    likeness: dict[TileOrder, list[Tensor]] = {order: [] for order in TILE_ORDERS}
    deviations = {}
    for number, count in TILES.items():
        if count == 1:
            continue
        kernel = state[f"decoder.ipt_blk{number}.conv1.weight"]
        chw, whc = (_likenesses(kernel, count, order) for order in TILE_ORDERS)
        likeness["chw"].append(chw)
        likeness["whc"].append(whc)
        # Cosines of unrelated vectors of n numbers scatter by 1 / sqrt(n).
        chance = math.sqrt(2 / (kernel[:, 0].numel() * len(chw)))
        deviations[f"ipt_blk{number}"] = float(chw.mean() - whc.mean()) / chance
    return Evidence({order: float(torch.cat(values).mean()) for order, values in likeness.items()}, deviations)


def _likenesses(kernel: Tensor, count: int, order: TileOrder) -> Tensor:
    """The cosines between the weights of touching tiles, and of the colours of one tile, if this is their order."""
    vectors = functional.normalize(kernel.float().transpose(0, 1).flatten(1), dim=1)
    placed = vectors.view(3, count, count, -1)
    if order == "whc":
        placed = vectors.view(count, count, 3, -1).permute(2, 1, 0, 3)
    pairs = (
        (placed[:-1], placed[1:]),
        (placed[:1], placed[2:]),
        (placed[:, :-1], placed[:, 1:]),
        (placed[:, :, :-1], placed[:, :, 1:]),
    )
    return torch.cat([(first * second).sum(-1).flatten() for first, second in pairs])
