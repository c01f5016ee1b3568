"""BiRefNet against numbers of the official code, with made weights: nothing trained is needed."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.worker import recipe
from worker.engines.birefnet import BiRefNet, BiRefNetConfig, variants
from worker.engines.birefnet.tiles import ImageBlock

KEYS = recipe.keys("birefnet")
VECTORS = recipe.vectors("birefnet")
POINTS = [str(point) for point in VECTORS["points"]]
RUNS = sorted({name.rsplit(".", 1)[0] for name in VECTORS if "." in name})

# Making the weights of the large network takes 5 s; one of its four runs is enough unless --all-vectors is given.
LARGE_RUN = "large.chw.256x288"


@pytest.fixture(scope="module")
def networks() -> dict[str, BiRefNet]:
    """Every network that has been made, by variant and order; one set of weights serves both orders."""
    return {}


@pytest.fixture
def network(run: str, networks: dict[str, BiRefNet]) -> BiRefNet:
    variant, order, _ = run.split(".")
    if variant not in networks:
        networks.clear()
        networks[variant] = made(variant)
    for block in networks[variant].decoder.children():
        if isinstance(block, ImageBlock):
            block.order = variants.tile_order(order)
    return networks[variant]


def made(variant: str) -> BiRefNet:
    model = BiRefNet(BiRefNetConfig.variant(variant, tile_order="chw")).eval()
    weights = {key: torch.from_numpy(array) for key, array in recipe.weights(KEYS[variant]["keys"]).items()}
    model.load_state_dict(weights)
    return model


def size_of(run: str) -> tuple[int, int]:
    height, width = run.rsplit(".", 1)[1].split("x")
    return int(height), int(width)


@pytest.mark.parametrize("variant", ["lite", "large"])
def test_keys_shapes_types_and_order_are_those_of_the_published_file(variant: str) -> None:
    with torch.device("meta"):
        state = BiRefNet(BiRefNetConfig.variant(variant)).state_dict()

    assert [[key, [list(value.shape), str(value.dtype).removeprefix("torch.")]] for key, value in state.items()] == [
        [key, description] for key, description in KEYS[variant]["keys"].items()
    ]


def test_the_recipe_gives_the_weights_that_the_reference_was_made_with() -> None:
    assert recipe.crc32(recipe.weights(KEYS["lite"]["keys"])) == KEYS["lite"]["recipe_crc32"]


@pytest.mark.parametrize("run", RUNS)
def test_every_number_on_the_way_and_the_logits_are_the_official_ones(run: str, network: BiRefNet, whole: bool) -> None:
    if run.startswith("large") and run != LARGE_RUN and not whole:
        pytest.skip("The large network runs once, with one order and size; --all-vectors runs all four.")
    seen: dict[str, Tensor] = {}
    hooks = watch(network, seen)

    with torch.inference_mode():
        logits = network(torch.from_numpy(recipe.birefnet_input(*size_of(run))))

    for hook in hooks:
        hook.remove()
    seen["logits"] = logits
    if f"{run}.summaries" in VECTORS:
        rows = zip(POINTS, VECTORS[f"{run}.summaries"], strict=True)
        differences = {point: np.abs(summary(seen[point]) - row).max() for point, row in rows}
        late = POINTS.index("squeeze_module") + 1
        assert {point: difference for point, difference in differences.items() if difference > 2e-4} == {}
        assert {point: differences[point] for point in POINTS[:late] if differences[point] > 5e-5} == {}
    assert largest_difference(run, logits.numpy()) < 3e-4


def largest_difference(run: str, logits: NDArray[Any]) -> float:
    if f"{run}.logits" in VECTORS:
        return float(np.abs(logits - VECTORS[f"{run}.logits"]).max())
    return float(np.abs(logits[..., ::3, ::3] - VECTORS[f"{run}.logits_every3"]).max())


def summary(values: Tensor) -> NDArray[Any]:
    flat = values.double().flatten()
    return torch.cat(
        [flat.mean()[None], flat.std(correction=0)[None], flat.abs().max()[None], flat[:8], flat[-8:]]
    ).numpy()


def watch(network: BiRefNet, seen: dict[str, Tensor]) -> list[Any]:
    """Note what comes out at each of the reference's points."""

    def backbone(_module: Any, _arguments: Any, maps: list[Tensor]) -> None:
        run = "half" if "bb.full.stage0" in seen else "full"
        seen.update({f"bb.{run}.stage{stage}": values for stage, values in enumerate(maps)})

    def embedding(_module: Any, _arguments: Any, values: Tensor) -> None:
        seen.setdefault("bb.patch_embed", values.permute(0, 3, 1, 2))

    def squeeze(_module: Any, arguments: tuple[Tensor]) -> None:
        seen["squeeze_module.input"] = arguments[0]

    def note(point: str) -> Any:
        return lambda _module, _arguments, values: seen.__setitem__(point, values)

    modules = [point for point in POINTS if point.startswith("decoder.") or point == "squeeze_module"]
    return [
        network.bb.register_forward_hook(backbone),
        network.bb.patch_embed.register_forward_hook(embedding),
        network.squeeze_module.register_forward_pre_hook(squeeze),
        *(network.get_submodule(point).register_forward_hook(note(point)) for point in modules),
    ]
