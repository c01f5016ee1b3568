"""Weights from files, folders and the hub's cache; and what they tell about the order of their tiles."""

from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from tests.worker import made
from worker import checkpoints
from worker.checkpoints import CheckpointError
from worker.engines.birefnet import BiRefNet, BiRefNetConfig, published, tile_evidence, tile_trial, variants
from worker.engines.birefnet.tiles import ImageBlock, stack

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def model() -> BiRefNet:
    return made.small_birefnet("whc")


@pytest.fixture
def folder(model: BiRefNet, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "small")
    return tmp_path / "small"


def same(one: BiRefNet, other: BiRefNet) -> bool:
    before, after = one.state_dict(), other.state_dict()
    return list(before) == list(after) and all(torch.equal(before[key], after[key]) for key in before)


def test_a_folder_with_a_configuration_of_ours_says_all_by_itself(folder: Path, model: BiRefNet) -> None:
    loaded = published.load(folder)

    assert same(loaded, model)
    assert (loaded.config.tile_order, loaded.training) == ("whc", False)


def test_the_order_of_tiles_can_be_chosen_over_the_configuration(folder: Path) -> None:
    assert published.load(folder, tile_order="chw").config.tile_order == "chw"


def test_a_configuration_of_somebody_else_is_not_read(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "theirs", "auto_map": {"AutoModel": "code.Model"}}')

    with pytest.raises(CheckpointError, match="Name its variant"):
        published.load(folder)


def test_a_lone_file_takes_resolution_and_order_from_the_variant_that_is_named(tmp_path: Path) -> None:
    torch.manual_seed(0)
    lite = BiRefNet(BiRefNetConfig.variant("lite")).half()
    save_file(lite.state_dict(), tmp_path / "lite.safetensors")

    loaded = published.load(tmp_path / "lite.safetensors", variant="lite-2K", tile_order="chw")

    assert loaded.config.resolution == (1440, 2560)
    assert loaded.config.tile_order == "chw"
    assert loaded.dtype == torch.float16
    assert same(loaded, lite)
    with pytest.raises(CheckpointError, match="backbone"):
        published.load(tmp_path / "lite.safetensors", variant="general")


def test_a_published_file_is_known_by_its_digest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "config.json").unlink()
    sizes = variants.Backbone(16, (2, 1, 1, 1), (1, 2, 4, 8), 4)
    known = variants.Variant(sizes, (96, 64), "whc", sha256=checkpoints.digest(folder / checkpoints.FILE))
    monkeypatch.setitem(variants.VARIANTS, "small", known)

    assert published.load(folder).config.resolution == (96, 64)


def test_an_id_of_the_hub_is_found_in_the_cache_at_its_pinned_revision(
    model: BiRefNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    small = variants.Variant(
        variants.Backbone(16, (2, 1, 1, 1), (1, 2, 4, 8), 4), (64, 64), "whc", "some/one", REVISION
    )
    monkeypatch.setitem(variants.VARIANTS, "small", small)
    model.save_pretrained(tmp_path / "models--some--one" / "snapshots" / REVISION)

    assert same(published.load("some/one", local_files_only=True), model)
    assert same(published.load("small", local_files_only=True), model)
    with pytest.raises(CheckpointError, match="not in the cache"):
        published.load("some/one", revision=REVISION[::-1], local_files_only=True)


def test_what_the_hub_gives_at_a_pinned_revision_has_to_be_the_published_file(
    model: BiRefNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for revision in (REVISION, REVISION[::-1]):
        model.save_pretrained(tmp_path / "models--some--one" / "snapshots" / revision)
    digest = checkpoints.digest(tmp_path / "models--some--one" / "snapshots" / REVISION / checkpoints.FILE)

    def published_as(sha256: str) -> None:
        sizes = variants.Backbone(16, (2, 1, 1, 1), (1, 2, 4, 8), 4)
        monkeypatch.setitem(
            variants.VARIANTS, "small", variants.Variant(sizes, (64, 64), "whc", "some/one", REVISION, sha256)
        )

    published_as("0" * 64)
    for source in ("some/one", "small"):
        with pytest.raises(CheckpointError, match=f"not the file that was meant: its SHA-256 is {digest}"):
            published.load(source, local_files_only=True)
    assert same(published.load("some/one", revision=REVISION[::-1], local_files_only=True), model)

    published_as(digest)
    assert same(published.load("small", local_files_only=True), model)


@pytest.mark.parametrize("revision", [None, "main", "0123456"])
def test_a_revision_that_may_move_is_refused(revision: str | None) -> None:
    with pytest.raises(CheckpointError, match="40 hexadecimal digits"):
        checkpoints.locate("some/body", revision)


def test_a_path_that_leads_nowhere_is_said_to(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no file or folder"):
        checkpoints.locate(tmp_path / "nothing")


def test_a_missing_an_unexpected_and_a_misshapen_tensor_are_refused_by_name(model: BiRefNet) -> None:
    state = dict(model.state_dict())
    state["foreign"] = state.pop("decoder.conv_out1.0.bias")
    state["bb.norm0.weight"] = torch.ones(3)

    with pytest.raises(CheckpointError) as caught:
        published.made(state, model.config)

    for part in ("1 missing: decoder.conv_out1.0.bias", "1 unexpected: foreign", "of another shape: bb.norm0.weight"):
        assert part in str(caught.value)


def test_other_relative_positions_are_refused(model: BiRefNet) -> None:
    state = dict(model.state_dict())
    key = "bb.layers.0.blocks.0.attn.relative_position_index"
    state[key] = state[key].flip(0)

    with pytest.raises(CheckpointError, match="relative_position_index"):
        published.made(state, model.config)


def test_untrained_weights_do_not_tell_the_order_of_their_tiles(model: BiRefNet) -> None:
    assert tile_evidence.weigh(model.state_dict()).verdict is None


@pytest.mark.parametrize("order", variants.TILE_ORDERS)
def test_a_little_training_leaves_its_order_in_the_weights(order: variants.TileOrder) -> None:
    evidence = tile_evidence.weigh(trained(order))

    assert evidence.verdict == order
    assert len(evidence.deviations) == 4


def test_blocks_that_contradict_each_other_settle_nothing() -> None:
    key = "decoder.ipt_blk5.conv1.weight"
    mixed = trained("chw") | {key: trained("whc")[key]}

    assert tile_evidence.weigh(mixed).verdict is None


def test_a_trial_shows_both_orders_and_changes_nothing(model: BiRefNet) -> None:
    picture = made.picture(1, 3, 64, 64)
    before = model(picture).detach()

    alphas = tile_trial.run(model, picture)

    assert torch.allclose(alphas["whc"], before[0, 0].sigmoid(), atol=1e-5)
    assert (alphas["chw"] - alphas["whc"]).abs().max() > 0.1
    assert torch.allclose(model(picture), before, atol=1e-5)


def test_tiles_are_stacked_as_the_two_orders_say() -> None:
    image = torch.arange(3 * 4 * 6.0).view(1, 3, 4, 6)

    chw, whc = stack(image, 2, "chw"), stack(image, 2, "whc")

    colour, row, column = 2, 1, 0
    tile = image[0, colour, 2:, :3]
    assert torch.equal(chw[0, (colour * 2 + row) * 2 + column], tile)
    assert torch.equal(whc[0, (column * 2 + row) * 3 + colour], tile)


@cache
def trained(order: variants.TileOrder) -> dict[str, Tensor]:
    """The image blocks of a decoder after twenty steps of finding a bright disc before a cloudy ground."""
    torch.manual_seed(1)
    state = {}
    for number, count in {5: 32, 4: 16, 3: 8, 2: 4}.items():
        block, head = ImageBlock(count, 16, order), nn.Conv2d(16, 1, 1)
        steps = torch.optim.AdamW([*block.parameters(), *head.parameters()], 1e-3)
        for _ in range(20):
            pictures, discs = scenes(8)
            found = head(block(pictures))
            loss = functional.binary_cross_entropy_with_logits(
                found, functional.adaptive_avg_pool2d(discs, found.shape[2:])
            )
            steps.zero_grad()
            loss.backward()
            steps.step()
        state[f"decoder.ipt_blk{number}.conv1.weight"] = block.conv1.weight.detach()
    return state


def scenes(count: int, side: int = 64) -> tuple[Tensor, Tensor]:
    """Pictures (N, 3, side, side), as smooth and as grey as photographs are, and the discs in them (N, 1, side, side)."""
    frequency = torch.fft.fftfreq(side)[:, None].square() + torch.fft.rfftfreq(side)[None].square()
    spectrum = torch.randn(count, 4, side, side // 2 + 1, dtype=torch.complex64) / (frequency + side**-2).sqrt()
    clouds = torch.fft.irfft2(spectrum, s=(side, side))
    clouds = clouds / clouds.std((2, 3), keepdim=True)
    place = torch.arange(side)
    middle, radius = side * (0.2 + 0.6 * torch.rand(count, 2, 1, 1)), side * (0.12 + 0.2 * torch.rand(count, 1, 1))
    far = (place[None, :, None] - middle[:, 0]) ** 2 + (place[None, None] - middle[:, 1]) ** 2
    discs = (far < radius**2).float()[:, None]
    return 0.7 * clouds[:, :1] + 0.3 * clouds[:, 1:] + discs * (1.5 + 0.5 * torch.randn(count, 3, 1, 1)), discs
