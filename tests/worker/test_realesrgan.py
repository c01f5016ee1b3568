"""Real-ESRGAN's networks against numbers of the official code, with made weights."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.worker import recipe
from worker.engines.realesrgan import models, published

KEYS = recipe.keys("realesrgan")
VECTORS = recipe.vectors("realesrgan")
NAMES = {
    "x4plus": "RealESRGAN_x4plus",
    "x2plus": "RealESRGAN_x2plus",
    "x4plus_anime_6B": "RealESRGAN_x4plus_anime_6B",
    "general-x4v3": "realesr-general-x4v3",
    "animevideov3": "realesr-animevideov3",
}


@pytest.mark.parametrize("variant", NAMES)
def test_keys_shapes_types_and_order_are_those_of_the_published_file(variant: str) -> None:
    with torch.device("meta"):
        state = models.find(NAMES[variant]).network().state_dict()

    assert [[key, [list(value.shape), str(value.dtype).removeprefix("torch.")]] for key, value in state.items()] == [
        [key, description] for key, description in KEYS[variant]["keys"].items()
    ]


@pytest.mark.parametrize("variant", NAMES)
def test_it_answers_like_the_reference(variant: str) -> None:
    weights = recipe.weights(KEYS[variant]["keys"])
    assert recipe.crc32(weights) == KEYS[variant]["recipe_crc32"]
    network = published.made(NAMES[variant], {key: torch.from_numpy(array) for key, array in weights.items()})

    for size in ("32x32", "24x40"):
        height, width = map(int, size.split("x"))
        with torch.inference_mode():
            output = network(torch.from_numpy(recipe.realesrgan_input(height, width))).numpy()

        assert largest_difference(f"{variant}.{size}.output", output) < 3e-5


def largest_difference(name: str, output: NDArray[Any]) -> float:
    if name in VECTORS:
        return float(np.abs(output - VECTORS[name]).max())
    return float(np.abs(output[..., ::3, ::3] - VECTORS[f"{name}_every3"]).max())
