"""What is built around Real-ESRGAN's networks: files, tiles, strength of denoising, sizes."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from tests.worker import made
from worker import checkpoints
from worker.checkpoints import CheckpointError
from worker.engines.realesrgan import models, published, tiling
from worker.engines.realesrgan.engine import Upscaler
from worker.engines.realesrgan.models import Model
from worker.problems import EngineFailed


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of models that take milliseconds, without digests of published files."""
    table = {"fold": Model(2, "0" * 64, blocks=1), "compact": Model(4, "0" * 64, convolutions=2, noisy="compact-wdn")}
    monkeypatch.setattr(models, "MODELS", table)
    monkeypatch.setattr(models, "TWINS", {"compact-wdn": Model(4, "0" * 64, convolutions=2)})


@pytest.fixture
def folder(small: None, tmp_path: Path) -> Path:
    for name in models.MODELS:
        save_file(made.with_recipe(models.find(name).network()).state_dict(), tmp_path / f"{name}.safetensors")
    noisy = {key: -value for key, value in checkpoints.read(tmp_path / "compact.safetensors").items()}
    save_file(noisy, tmp_path / "compact-wdn.safetensors")
    return tmp_path


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_published_file_is_checked_and_converted_once(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = made.with_recipe(models.find("fold").network()).state_dict()
    torch.save({"params_ema": weights}, tmp_path / "fold.pth")
    digest = checkpoints.digest(tmp_path / "fold.pth")
    monkeypatch.setitem(models.MODELS, "fold", Model(2, digest, blocks=1))

    network = published.load("fold", tmp_path)
    (tmp_path / "fold.pth").unlink()

    assert same(network.state_dict(), weights)
    assert same(published.load("fold", tmp_path).state_dict(), weights)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_a_file_with_another_digest_is_refused_and_leaves_nothing(small: None, tmp_path: Path) -> None:
    torch.save(models.find("fold").network().state_dict(), tmp_path / "fold.pth")

    with pytest.raises(CheckpointError, match="not the file that was meant"):
        published.load("fold", tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["fold.pth"]


def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"params": {"weight": Trap()}}, tmp_path / "trap.pth")

    with pytest.raises(CheckpointError, match="which is not run"):
        checkpoints.read(tmp_path / "trap.pth")

    assert not (tmp_path / "sprung").exists()


def test_weights_of_another_model_are_refused(small: None, tmp_path: Path) -> None:
    save_file(models.find("compact").network().state_dict(), tmp_path / "fold.safetensors")

    with pytest.raises(CheckpointError, match="not the weights of fold"):
        published.load("fold", tmp_path)


def test_the_models_of_a_folder_are_found_and_an_empty_one_is_said_to_be(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    upscaler = Upscaler(folder, device="cpu")

    assert upscaler.models == ("fold", "compact")
    assert upscaler.denoising == {"compact"}
    with pytest.raises(CheckpointError, match="holds no model"):
        Upscaler(tmp_path_factory.mktemp("empty"), device="cpu")


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 200), (64, 64), (256, 257), (515, 301), (1000, 64)])
@pytest.mark.parametrize("scale", [2, 4])
def test_tiles_have_few_shapes_and_join_to_the_picture_they_were_cut_from(height: int, width: int, scale: int) -> None:
    picture = noise(height, width)

    tiles = list(tiling.cut(picture))
    canvas = tiling.Canvas(height, width, scale)
    for start in range(0, len(tiles), 3):
        canvas.add([tile.repeat(scale, 0).repeat(scale, 1) for tile in tiles[start : start + 3]])
    joined = canvas.finished((width * scale, height * scale))

    assert len({tile.shape for tile in tiles}) == 1
    assert set(tiles[0].shape[:2]) <= set(tiling.SIDES)
    assert np.array_equal(joined, picture.repeat(scale, 0).repeat(scale, 1))


@pytest.mark.parametrize("model", ["fold", "compact"])
def test_a_picture_in_tiles_is_the_picture_in_one_piece(
    model: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = noise(300, 290)
    upscaler = Upscaler(folder, device="cpu")
    scale = models.MODELS[model].scale
    size = (290 * scale, 300 * scale)

    tiled = enlarged(upscaler, picture, model, size)
    (whole,) = upscaler.enlarge([picture], model, None)

    assert tiled.shape == whole.shape
    assert np.abs(tiled.astype(int) - whole).max() <= 1


def test_tiles_together_answer_what_each_would_get_alone(folder: Path) -> None:
    upscaler = Upscaler(folder, device="cpu")
    tiles = [noise(64, 64), noise(64, 64)[::-1].copy()]

    together = upscaler.enlarge(tiles, "fold", None)

    for tile, enlarged in zip(tiles, together, strict=True):
        assert np.abs(upscaler.enlarge([tile], "fold", None)[0].astype(int) - enlarged).max() <= 1


def test_denoising_lies_between_the_model_and_its_noisy_twin(folder: Path) -> None:
    upscaler = Upscaler(folder, device="cpu")
    tile = noise(64, 64)

    alone, most, least = (upscaler.enlarge([tile], "compact", strength)[0] for strength in (None, 1.0, 0.0))

    assert np.array_equal(alone, most)
    assert not np.array_equal(most, least)
    with pytest.raises(ValueError, match="does not take"):
        upscaler.enlarge([tile], "fold", 0.5)


@pytest.mark.parametrize("size", [(50, 30), (200, 100), (600, 300)])
def test_any_size_comes_out_and_alpha_needs_no_network(size: tuple[int, int], folder: Path) -> None:
    upscaler = Upscaler(folder, device="cpu")
    picture = noise(50, 100)

    assert enlarged(upscaler, picture, "fold", size).shape == (size[1], size[0], 3)


def test_it_says_how_many_pixels_its_network_makes_whatever_the_scale(folder: Path) -> None:
    upscaler = Upscaler(folder, device="cpu")

    assert upscaler.pixels_made(100, 50, "compact", 1) == 400 * 200
    assert upscaler.pixels_made(100, 50, "fold", 1.5) == 200 * 100
    assert upscaler.pixels_made(100, 50, "fold", 6) == 600 * 300


def test_tiles_are_cut_one_by_one_and_enlarged_ones_are_not_kept() -> None:
    strip = noise(1, 20_000)  # a tile is 64 pixels high
    large = 256 * 256 * 16 * 3
    canvas = tiling.Canvas(1, 20_000, 4)
    tracemalloc.start()

    for tile in tiling.cut(strip):
        canvas.add([tile.repeat(4, 0).repeat(4, 1)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < large


def test_a_tile_that_becomes_no_number_is_no_black_square(folder: Path) -> None:
    weights = checkpoints.read(folder / "fold.safetensors")
    weights["conv_last.bias"][0] = torch.nan
    save_file(weights, folder / "fold.safetensors")

    with pytest.raises(EngineFailed):
        Upscaler(folder, device="cpu").enlarge([noise(64, 64)], "fold", None)


def test_its_weights_lie_in_memory_as_the_tiles_do(folder: Path) -> None:
    seen: list[bool] = []
    upscaler = Upscaler(folder, device="cpu")
    network: Any = upscaler._networks["fold"]
    network.body.register_forward_pre_hook(
        lambda _module, given: seen.append(given[0].is_contiguous(memory_format=torch.channels_last))
    )

    upscaler.enlarge([noise(64, 64)], "fold", None)

    assert seen == [True]
    assert network.conv_body.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_folder_that_cannot_be_written_to_is_said_in_a_sentence(small: None, tmp_path: Path) -> None:
    torch.save(models.find("fold").network().state_dict(), tmp_path / "fold.pth")
    digest = checkpoints.digest(tmp_path / "fold.pth")

    with pytest.raises(CheckpointError, match="cannot be written"):
        published.convert("fold", tmp_path / "fold.pth", tmp_path / "nowhere" / "fold.safetensors", digest)


def test_it_can_be_warmed_up_and_knows_when_memory_ran_out(folder: Path) -> None:
    upscaler = Upscaler(folder, device="cpu")

    upscaler.warm_up()

    assert upscaler.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not upscaler.is_out_of_memory(ValueError("something else"))
    assert upscaler.is_lost(torch.AcceleratorError("CUDA error: device-side assert triggered"))
    assert not upscaler.is_lost(ValueError("something else"))


def enlarged(upscaler: Upscaler, picture: NDArray[np.uint8], model: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture at `size` (width, height), all steps in one."""
    canvas = upscaler.canvas(picture, model)
    canvas.add(upscaler.enlarge(list(upscaler.cut(picture, model)), model, None))
    return canvas.finished(size)
