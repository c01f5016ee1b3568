"""The command line for weights: what it tells about files, and what it makes of them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import worker
from tests.worker import made
from worker import checkpoints, weights
from worker.engines.birefnet import BiRefNet, BiRefNetConfig, published
from worker.engines.realesrgan import models


@pytest.fixture(scope="module")
def matte(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as training on several cards leaves it: pickled, with a prefix before every name."""
    path = tmp_path_factory.mktemp("matte") / "epoch.pth"
    torch.manual_seed(0)
    state = BiRefNet(BiRefNetConfig.variant("lite")).half().state_dict()
    torch.save({f"module._orig_mod.{key}": value for key, value in state.items()}, path)
    return path


@pytest.fixture(scope="module")
def upscale(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("upscale") / "anime.pth"
    torch.save({"params": made.with_recipe(models.find("realesr-animevideov3").network()).state_dict()}, path)
    return path


def said(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> str:
    assert weights.main([str(argument) for argument in arguments]) == status
    captured = capsys.readouterr()
    return captured.err if status else captured.out


def test_it_names_every_published_model(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "known")

    assert "BiRefNet lite-2K: 2560x1440, ZhengPeng7/BiRefNet_lite-2K at 67d658fa" in out
    assert all(name in out for name in (*models.MODELS, *models.TWINS))


def test_it_tells_which_variants_weights_fit_and_what_it_does_not_know(
    matte: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, "verify", matte)

    assert f"SHA-256 {checkpoints.digest(matte)}" in out
    assert "types: float16, int64" in out
    assert "fits: BiRefNet lite, lite-2K; all 586 names and shapes" in out
    assert "not a file whose digest is known" in out
    assert "tile order: the weights do not tell" in out


def test_a_picture_is_shown_in_both_orders(matte: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "cat.png")
    model = made.small_birefnet()
    model.config.resolution = (64, 96)
    model.save_pretrained(tmp_path / "small")

    out = said(capsys, "verify", tmp_path / "small", "--picture", tmp_path / "cat.png")

    assert "which one is right is for you to see" in out
    for order in ("chw", "whc"):
        with Image.open(tmp_path / f"cat.{order}.png") as alpha:
            assert (alpha.size, alpha.mode) == ((30, 20), "L")


def test_it_tells_real_esrgan_models_apart_by_their_shapes(upscale: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "fits: Real-ESRGAN realesr-animevideov3; all 53 names" in said(capsys, "verify", upscale)


def test_a_pickle_that_is_not_known_is_converted_only_with_its_digest(
    upscale: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refusal = said(capsys, "convert", upscale, tmp_path, status=1)
    digest = refusal.split()[-1]
    other = said(capsys, "convert", upscale, tmp_path, "--sha256", "0" * 64, status=1)

    said(capsys, "convert", upscale, tmp_path, "--sha256", digest)

    assert "whom you trust" in refusal
    assert "not the file that was meant" in other
    assert [path.name for path in tmp_path.iterdir()] == ["realesr-animevideov3.safetensors"]


def test_a_birefnet_is_converted_to_a_folder_that_says_all_by_itself(
    matte: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    convert = ("convert", matte, tmp_path, "--sha256", checkpoints.digest(matte), "--model", "lite-2K")
    untold = said(capsys, *convert, status=1)

    said(capsys, *convert, "--tile-order", "whc")

    loaded = published.load(tmp_path)
    assert "--tile-order" in untold
    assert (loaded.config.tile_order, loaded.config.resolution) == ("whc", (1440, 2560))
    assert BiRefNet.from_pretrained(tmp_path).dtype == torch.float16


def test_what_is_no_file_of_weights_is_said_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cat.safetensors").write_bytes(b"meow")
    (tmp_path / "other.pth").write_bytes(b"meow")

    for source in ("cat.safetensors", "other.pth", "nothing.pth"):
        assert said(capsys, "verify", tmp_path / source, status=1).count("\n") == 1


def test_what_cannot_be_read_or_written_is_said_in_a_sentence(
    matte: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "note.txt").write_text("no picture")
    made.small_birefnet().save_pretrained(tmp_path / "small")
    capsys.readouterr()
    (tmp_path / "taken" / checkpoints.FILE).mkdir(parents=True)
    convert = ("convert", matte, tmp_path / "taken", "--sha256", checkpoints.digest(matte), "--tile-order", "chw")

    missing = said(capsys, "convert", tmp_path / "missing.pth", tmp_path / "out", status=1)
    blocked = said(capsys, "convert", matte, tmp_path / "note.txt", "--sha256", checkpoints.digest(matte), status=1)
    unwritten = said(capsys, *convert, "--model", "lite", status=1)
    picture = said(capsys, "verify", tmp_path / "small", "--picture", tmp_path / "note.txt", status=1)

    assert missing == f"{tmp_path / 'missing.pth'}: No such file or directory.\n"
    assert blocked == f"{tmp_path / 'note.txt'}: File exists.\n"
    assert unwritten.count("\n") == 1
    assert picture.startswith("The bytes are no picture")


def test_without_torch_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['torch'] = None; from worker import weights; sys.exit(weights.main(['known']))"
    root = Path(worker.__file__).parents[1]

    run = subprocess.run((sys.executable, "-c", code), cwd=root, capture_output=True, text=True, check=False)

    assert run.returncode == 1
    assert "pip install 'nijika[worker]'" in run.stderr
