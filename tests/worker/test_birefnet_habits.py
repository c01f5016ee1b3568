"""What may be relied on whatever the weights: batches, files, half precision, compiling, exporting."""

from pathlib import Path

import pytest
import torch

from tests.worker import made
from worker.engines.birefnet import BiRefNet, BiRefNetConfig, deform, variants
from worker.engines.birefnet.decoder import DecoderBlock

# How far a pixel of the foreground, 0..1, may be from what float32 finds (docs/models.md has the figures).
HALVES = [(torch.float16, 5e-3), (torch.bfloat16, 3e-2)]
EXACT = deform.places


def test_a_batch_answers_what_each_picture_would_get_alone() -> None:
    model = made.small_birefnet()
    pictures = made.picture(3, 3, 96, 64)

    with torch.inference_mode():
        together = model(pictures)
        alone = torch.cat([model(picture[None]) for picture in pictures])

    assert (together - alone).abs().max() < 1e-5


def test_saved_and_loaded_it_is_the_same_network(tmp_path: Path) -> None:
    model = made.small_birefnet("whc")
    model.save_pretrained(tmp_path)

    loaded = BiRefNet.from_pretrained(tmp_path)

    before, after = model.state_dict(), loaded.state_dict()
    assert loaded.config.tile_order == "whc"
    assert not loaded.training
    assert list(before) == list(after)
    assert all(torch.equal(before[key], after[key]) and before[key].dtype == after[key].dtype for key in before)
    with torch.inference_mode():
        difference = loaded(made.picture(1, 3, 64, 64)) - model(made.picture(1, 3, 64, 64))
    # Equal weights at another address may be added up in another order.
    assert difference.abs().max() < 1e-5


@pytest.mark.parametrize(("height", "width"), [(100, 96), (96, 1)])
def test_sides_that_are_no_multiples_of_32_are_refused(height: int, width: int) -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        made.small_birefnet()(torch.zeros(1, 3, height, width))


def test_the_order_of_the_tiles_changes_the_answer_and_no_key() -> None:
    colours, rows = made.small_birefnet("chw"), made.small_birefnet("whc")
    picture = made.picture(1, 3, 64, 64)

    with torch.inference_mode():
        difference = (colours(picture) - rows(picture)).abs().max()

    assert list(colours.state_dict()) == list(rows.state_dict())
    assert difference > 0.5


@pytest.mark.parametrize("name", variants.VARIANTS)
def test_every_variant_has_a_configuration_with_its_resolution(name: str) -> None:
    config = BiRefNetConfig.variant(name)

    assert config.resolution == variants.find(name).resolution
    assert all(side % 32 == 0 for side in config.resolution)


def test_an_unknown_variant_or_order_is_a_mistake_that_names_what_there_is() -> None:
    with pytest.raises(ValueError, match="general, lite"):
        BiRefNetConfig.variant("huge")
    with pytest.raises(ValueError, match="chw or whc"):
        BiRefNetConfig.variant("lite", tile_order="hwc")


@pytest.fixture(scope="module")
def lite() -> BiRefNet:
    """The lite network with weights that leave no logit at rest: their deviation is 1, and some are beyond 5."""
    return made.with_recipe(BiRefNet(BiRefNetConfig.variant("lite", tile_order="chw")))


@pytest.mark.parametrize(("dtype", "most"), HALVES)
def test_half_precision_stays_within_what_is_allowed_it_in_every_pixel(
    lite: BiRefNet, dtype: torch.dtype, most: float
) -> None:
    assert after_sigmoid(lite, dtype).max() < most


@pytest.mark.parametrize(("dtype", "most"), HALVES)
def test_it_is_places_in_float32_that_keep_half_precision_within(
    lite: BiRefNet, dtype: torch.dtype, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = deform.places

    def rounded(offset: torch.Tensor, kernel: int) -> torch.Tensor:
        size = torch.tensor([offset.shape[3], offset.shape[2]])
        pixels = ((exact(offset, kernel) + 1) * size - 1) / 2
        return (2 * pixels.bfloat16().float() + 1) / size - 1

    ours = after_sigmoid(lite, dtype).max()
    monkeypatch.setattr(deform, "places", rounded)
    with_rounded_places = after_sigmoid(lite, dtype).max()

    assert with_rounded_places > most
    assert with_rounded_places > 1.5 * ours


def test_the_larger_the_picture_the_more_places_in_float32_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made.small_birefnet()

    ours = after_sigmoid(model, torch.bfloat16, side=256).max()
    exact = deform.places
    monkeypatch.setattr(deform, "places", lambda offset, kernel: exact(offset, kernel).bfloat16().float())
    rounded = after_sigmoid(model, torch.bfloat16, side=256).max()

    assert rounded > 2 * ours


def after_sigmoid(model: BiRefNet, dtype: torch.dtype, side: int = 96) -> torch.Tensor:
    """How far a copy of the model in `dtype` is from the model, pixel by pixel."""
    picture = made.picture(1, 3, side, side)
    copy = type(model)(model.config).eval()
    copy.load_state_dict(model.state_dict())
    with torch.inference_mode(), pytest.MonkeyPatch.context() as patch:
        half = copy.to(dtype)(picture.to(dtype)).float().sigmoid()
        # What is compared with is the network as it is, whatever a test has done to it.
        patch.setattr(deform, "places", EXACT)
        return (half - model(picture).sigmoid()).abs()


# Inductor itself uses what torch calls deprecated.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_it_compiles_to_one_graph() -> None:
    model = made.small_birefnet()
    picture = made.picture(1, 3, 64, 64)

    with torch.inference_mode():
        traced = torch.compile(model, fullgraph=True, backend="eager")(picture)

        assert torch.allclose(traced, model(picture), atol=1e-4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_a_decoder_block_compiles_with_inductor() -> None:
    block = made.with_recipe(DecoderBlock(40, 16))
    maps = made.picture(1, 40, 16, 24)

    with torch.inference_mode():
        assert torch.allclose(torch.compile(block, fullgraph=True)(maps), block(maps), atol=1e-4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_all_of_it_compiles_with_inductor(whole: bool) -> None:
    if not whole:
        pytest.skip("Compiling all of it takes minutes; --all-vectors does it.")
    model = made.small_birefnet()
    picture = made.picture(2, 3, 64, 64)

    with torch.inference_mode():
        assert torch.allclose(torch.compile(model, fullgraph=True)(picture), model(picture), atol=1e-4)


def test_it_exports_with_a_dynamic_batch() -> None:
    model = made.small_birefnet()
    pictures = made.picture(3, 3, 64, 96)

    program = torch.export.export(model, (pictures[:2],), dynamic_shapes={"image": {0: torch.export.Dim.AUTO}})

    with torch.inference_mode():
        for count in (1, 2, 3):
            assert torch.allclose(program.module()(pictures[:count]), model(pictures[:count]), atol=1e-4)
