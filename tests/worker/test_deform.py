"""Modulated deformable convolution against numbers of torchvision's, and its habits in half precision."""

import numpy as np
import pytest
import torch

from tests.worker import made, recipe
from worker.engines.birefnet import deform

VECTORS = recipe.vectors("deform")
CASES = sorted({name.rsplit(".", 1)[0] for name in VECTORS})


def tensors(case: str) -> list[torch.Tensor]:
    return [torch.from_numpy(VECTORS[f"{case}.{part}"]) for part in ("input", "offset", "mask", "weight", "bias")]


@pytest.mark.parametrize("case", CASES)
def test_it_answers_like_the_reference(case: str) -> None:
    output = deform.convolve(*tensors(case))

    assert np.abs(output.numpy() - VECTORS[f"{case}.output"]).max() < 1e-5


@pytest.mark.parametrize("case", CASES)
def test_maps_cut_into_strips_answer_the_same(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deform, "SAMPLES_MAX", 1)

    output = deform.convolve(*tensors(case))

    assert np.abs(output.numpy() - VECTORS[f"{case}.output"]).max() < 1e-5


def test_without_offsets_it_is_an_ordinary_convolution() -> None:
    maps, _, _, weight, bias = tensors("k7_wide")
    offset, mask = torch.zeros(1, 98, 8, 12), torch.ones(1, 49, 8, 12)

    output = deform.convolve(maps, offset, mask, weight, bias)

    assert torch.allclose(output, torch.conv2d(maps, weight, bias, padding=3), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_places_are_exact_in_half_precision_at_the_far_end_of_a_wide_map(dtype: torch.dtype) -> None:
    ramp = torch.arange(300.0).remainder(2).expand(1, 1, 1, 300).to(dtype)
    offset, mask = torch.full((1, 2, 1, 300), 0.5, dtype=dtype), torch.ones(1, 1, 1, 300, dtype=dtype)
    offset[:, 0] = 0

    output = deform.convolve(ramp, offset, mask, torch.ones(1, 1, 1, 1, dtype=dtype))

    # Halfway between a 0 and a 1; a place rounded to bfloat16 would hit one of them.
    assert torch.equal(output[..., :-1], torch.full((1, 1, 1, 299), 0.5, dtype=dtype))


def test_it_can_be_learned() -> None:
    layer = made.with_recipe(deform.DeformableConvolution(4, 3, 3))

    layer(torch.randn(1, 4, 6, 5)).square().sum().backward()

    assert all(parameter.grad is not None and parameter.grad.any() for parameter in layer.parameters())
