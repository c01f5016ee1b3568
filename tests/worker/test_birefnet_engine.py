"""The engine around BiRefNet: what goes in and comes out, whatever the weights."""

import asyncio
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.worker import made
from worker.batcher import Batcher, Kind, Ran
from worker.checkpoints import CheckpointError
from worker.engines.birefnet import BiRefNet, BiRefNetConfig, variants
from worker.engines.birefnet.engine import Engine, normalised, resized
from worker.problems import EngineFailed


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


def test_a_strip_is_averaged_along_the_side_that_shrinks_though_it_gains_pixels() -> None:
    stripes = np.zeros((1020, 4), np.uint8)
    stripes[::2] = 255  # as fine as can be: fifteen of them make one row, and none may stand for the others

    small = resized(stripes, 68, 100)

    assert small.shape == (68, 100)
    assert np.abs(small.astype(int) - 127).max() < 10


def test_a_view_whose_answer_is_no_number_is_no_empty_picture(tmp_path: Path) -> None:
    model = made.small_birefnet()
    model.config.resolution = (64, 96)
    torch.nn.init.constant_(model.get_parameter("decoder.conv_out1.0.bias"), torch.inf)
    model.save_pretrained(tmp_path)

    with pytest.raises(EngineFailed):
        Engine(tmp_path, device="cpu").alphas([noise(64, 96, 3)])


async def test_of_a_batch_the_picture_whose_answer_is_no_number_fails_alone(engine: Engine) -> None:
    bad = np.full((64, 96, 3), 7, np.uint8)
    network = engine._model.forward
    spoilt = normalised(torch.from_numpy(bad)[None])

    def forward(pictures: torch.Tensor) -> torch.Tensor:
        wrong = (pictures == spoilt).all(dim=(1, 2, 3)).view(-1, 1, 1, 1)
        return network(pictures).masked_fill(wrong, torch.nan)

    batcher, go = Batcher(9), threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine._model, "forward", forward)
        starting = asyncio.create_task(batcher.start(lambda: go.wait(10)))
        kind = Kind("alphas", engine.alphas, 10**6, engine.is_out_of_memory, engine.is_lost)
        runs = [batcher.run(kind, view, 1e9) for view in (noise(64, 96, 3), bad, noise(64, 96, 3))]
        waiting = asyncio.gather(*runs, return_exceptions=True)
        await asyncio.sleep(0)
        go.set()
        await starting
        answers = await waiting
        await batcher.close()

    assert [type(answer) for answer in answers] == [Ran, EngineFailed, Ran]


def test_it_can_be_warmed_up_and_knows_when_memory_ran_out(engine: Engine) -> None:
    engine.warm_up()

    assert engine.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not engine.is_out_of_memory(ValueError("something else"))


def accelerator_error(number: int) -> Exception:
    error: Any = torch.AcceleratorError("CUDA error: it says so")
    error.error_code = number  # as torch does
    return error


@pytest.mark.parametrize(
    "error",
    [
        *map(accelerator_error, (214, 700, 710, 719)),
        torch.AcceleratorError("CUDA error: device-side assert triggered"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: uncorrectable ECC error encountered"),
    ],
)
def test_a_broken_device_is_known_by_its_errors(engine: Engine, error: Exception) -> None:
    assert engine.is_lost(error)
    assert not engine.is_out_of_memory(error)


@pytest.mark.parametrize(
    "error", [accelerator_error(2), RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")]
)
def test_memory_that_ran_out_below_torch_breaks_no_device(engine: Engine, error: Exception) -> None:
    assert engine.is_out_of_memory(error)
    assert not engine.is_lost(error)


@pytest.mark.parametrize(
    "error", [*map(accelerator_error, (1, 9, 701)), RuntimeError("shapes differ"), ArithmeticError("nan"), OSError()]
)
def test_what_concerns_one_call_breaks_no_device(engine: Engine, error: Exception) -> None:
    assert not engine.is_lost(error)
    assert not engine.is_out_of_memory(error)


@pytest.mark.parametrize("form", ["some/one@{}", "small=some/one@{}"])
def test_a_revision_can_be_pinned_in_one_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    commit = "89abcdef" * 5
    sizes = variants.Backbone(16, (2, 1, 1, 1), (1, 2, 4, 8), 4)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setitem(
        variants.VARIANTS, "small", variants.Variant(sizes, (96, 64), "whc", "some/one", "0" * 40, "0" * 64)
    )
    made.small_birefnet().save_pretrained(tmp_path / "models--some--one" / "snapshots" / commit)
    (tmp_path / "models--some--one" / "snapshots" / commit / "config.json").unlink()

    engine = Engine(form.format(commit), device="cpu", local_files_only=True)

    assert engine.view(noise(30, 40, 3), None).shape == (96, 64, 3)
    with pytest.raises(CheckpointError, match="40 hexadecimal digits; some/one was asked for at main"):
        Engine(form.format("main"), device="cpu", local_files_only=True)


def test_a_folder_whose_name_looks_like_a_pinned_revision_is_a_folder(tmp_path: Path) -> None:
    made.small_birefnet().save_pretrained(tmp_path / f"weights@{'a' * 40}")

    assert Engine(tmp_path / f"weights@{'a' * 40}", device="cpu").name == "birefnet"
