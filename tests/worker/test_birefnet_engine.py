"""The engine around BiRefNet: what goes in and comes out, whatever the weights."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.worker import made
from worker.checkpoints import CheckpointError
from worker.engines.birefnet import BiRefNet, BiRefNetConfig
from worker.engines.birefnet.engine import Engine, normalised


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder: Path = tmp_path_factory.mktemp("weights")
    model = made.small_birefnet()
    model.config.resolution = (64, 96)
    model.save_pretrained(folder)
    return Engine(folder, device="cpu")


def noise(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


def test_a_view_has_the_size_that_the_weights_were_trained_at(engine: Engine) -> None:
    assert engine.view(noise(333, 100, 3), None).shape == (64, 96, 3)
    assert engine.resolutions == (64, 512, 1024, 2048)


def test_a_view_may_be_asked_for_larger_and_keeps_to_multiples_of_32(engine: Engine) -> None:
    assert engine.view(noise(333, 100, 3), 512).shape == (512, 768, 3)


def test_an_alpha_of_the_size_of_the_picture_comes_back(engine: Engine) -> None:
    picture = noise(200, 150, 3)
    view = engine.view(picture, None)

    (alpha,) = engine.alphas([view])
    enlarged = engine.enlarge(alpha, view, picture)

    assert (alpha.shape, enlarged.shape) == ((64, 96), (200, 150))
    assert alpha.dtype == enlarged.dtype == np.uint8


def test_views_that_go_together_are_answered_in_order_as_they_would_be_alone(engine: Engine) -> None:
    views = [noise(3, 64, 96, 3)[number] for number in range(3)]

    together = engine.alphas(views)

    for view, alpha in zip(views, together, strict=True):
        assert np.abs(engine.alphas([view])[0].astype(int) - alpha).max() <= 1


def test_the_variant_of_a_file_can_be_named_in_one_word(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_file(BiRefNet(BiRefNetConfig.variant("lite")).state_dict(), tmp_path / "some.safetensors")

    engine = Engine(f"lite-2K={tmp_path}", device="cpu")

    assert engine.view(noise(30, 40, 3), None).shape == (1440, 2560, 3)
    with pytest.raises(CheckpointError, match="Name its variant: lite, lite-2K"):
        Engine(tmp_path, device="cpu")
    with pytest.raises(CheckpointError, match="needs weights"):
        Engine(None)


def test_pictures_are_normalised_with_the_mean_and_deviation_of_imagenet() -> None:
    grey = torch.full((1, 1, 1, 3), 255, dtype=torch.uint8)

    assert normalised(grey).flatten().tolist() == pytest.approx([2.2489, 2.4286, 2.6400], abs=1e-4)


@pytest.mark.parametrize(
    ("size", "view"),
    [((300, 400), (896, 1184)), ((400, 300), (1184, 896)), ((100, 100), (1024, 1024)), ((9000, 10), (2048, 512))],
)
def test_a_view_keeps_proportions_where_the_weights_were_trained_with_them(
    tmp_path: Path, size: tuple[int, int], view: tuple[int, int]
) -> None:
    model = made.small_birefnet()
    model.config.resolution, model.config.keeps_proportions = (1024, 1024), True
    model.save_pretrained(tmp_path)
    engine = Engine(tmp_path, device="cpu")

    assert engine.view(noise(*size, 3), None).shape == (*view, 3)
    assert BiRefNetConfig.variant("dynamic").keeps_proportions


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_compiled_it_answers_the_same_and_compiles_nothing_while_pictures_wait(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without Inductor, which needs minutes; what is looked at is when torch compiles, and for which pictures.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    model = made.small_birefnet()
    model.config.resolution = (64, 96)
    model.save_pretrained(tmp_path)
    compiled = Engine(tmp_path, device="cpu", compiles=True)
    compiled.warm_up()
    views = [noise(3, 64, 96, 3)[number] for number in range(3)]
    larger = [engine.view(noise(50, 70, 3), 512)]

    with torch.compiler.set_stance("fail_on_recompile"):
        answers = [*compiled.alphas(views[:1]), *compiled.alphas(views), *compiled.alphas(larger)]

    plain = [*engine.alphas(views[:1]), *engine.alphas(views), *engine.alphas(larger)]
    assert all(np.abs(one.astype(int) - two).max() <= 1 for one, two in zip(answers, plain, strict=True))


def test_it_can_be_warmed_up_and_knows_when_memory_ran_out(engine: Engine) -> None:
    engine.warm_up()

    assert engine.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not engine.is_out_of_memory(ValueError("something else"))
