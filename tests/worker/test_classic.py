"""The engine without weights: good on plain backdrops, honest elsewhere, and never at a loss."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest

from tests.worker import pictures
from worker import engines, pixels
from worker.engines.classic import Classic

SHAPES = ("ellipse", "ring", "star", "standing at the border")
COLOURS = ((200, 50, 40), (40, 70, 190), (40, 40, 45))


def overlap(alpha: pictures.Truth, behind: str, colour: tuple[int, int, int]) -> float:
    data = pictures.scene(alpha, pictures.backdrop(behind), colour)
    return pictures.overlap(pictures.matte(Classic(), pixels.decode(data, 10**6).rgb), alpha)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("behind", ["white", "grey", "green", "gradient", "vignette", "noisy"])
def test_an_object_on_a_plain_backdrop_is_found(shape: str, behind: str) -> None:
    alpha = pictures.shape(shape)

    assert min(overlap(alpha, behind, colour) for colour in COLOURS) > 0.93


@pytest.mark.parametrize("behind", ["stripes", "clouds"])
def test_a_distinct_object_on_a_textured_backdrop_is_found_roughly(behind: str) -> None:
    found = [overlap(pictures.shape(shape), behind, COLOURS[1]) for shape in ("ellipse", "star")]

    assert min(found) > 0.75


def test_a_mid_grey_object_on_white_is_not_taken_for_its_shadow() -> None:
    alpha = pictures.shape("ellipse")

    assert overlap(alpha, "white", (150, 150, 150)) > 0.93


def test_a_soft_shadow_on_the_backdrop_goes() -> None:
    alpha = pictures.shape("ellipse")
    y, x = np.mgrid[:240, :320]
    shadow = 1 - 0.45 * np.exp(-(((x - 190) / 70) ** 2 + ((y - 175) / 30) ** 2))

    data = pictures.scene(alpha, pictures.backdrop("white") * shadow[..., None].astype(np.float32))

    assert pictures.overlap(pictures.matte(Classic(), pixels.decode(data, 10**6).rgb), alpha) > 0.95


def test_a_pale_patch_inside_an_object_is_no_hole() -> None:
    alpha = pictures.shape("ellipse")
    data = pictures.scene(alpha, pictures.backdrop("white"))
    rgb = pixels.decode(data, 10**6).rgb.astype(float)
    y, x = np.mgrid[:240, :320]
    glare = np.exp(-(((x - 150) ** 2 + (y - 110) ** 2) / 25**2))[..., None]

    matte = pictures.matte(Classic(), (rgb * (1 - glare) + 255 * glare).astype(np.uint8))

    assert matte[110, 150] == 255


def test_the_edge_is_soft() -> None:
    alpha = pictures.shape("ellipse")

    matte = pictures.matte(Classic(), pixels.decode(pictures.scene(alpha, pictures.backdrop("white")), 10**6).rgb)

    edge = (alpha > 0.2) & (alpha < 0.8)
    assert np.abs(matte[edge] / 255 - alpha[edge]).mean() < 0.25
    assert len(np.unique(matte[edge])) > 20


@pytest.mark.parametrize("behind", ["gradient", "stripes"])
def test_a_picture_larger_than_the_working_size_keeps_its_size_and_its_edges(behind: str) -> None:
    alpha = pictures.shape("star", 1500, 2000)
    data = pictures.scene(alpha, pictures.backdrop(behind, 1500, 2000))

    matte = pictures.matte(Classic(), pixels.decode(data, 10**7).rgb)

    assert matte.shape == alpha.shape
    assert pictures.overlap(matte, alpha) > 0.93


@pytest.mark.parametrize("behind", ["noisy", "clouds"])
def test_the_same_picture_always_gets_the_same_answer(behind: str) -> None:
    rgb = pixels.decode(pictures.scene(pictures.shape("star"), pictures.backdrop(behind)), 10**6).rgb

    first, second = pictures.matte(Classic(), rgb), pictures.matte(Classic(), rgb)

    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("colour", [0, 128, 255])
def test_where_nothing_stands_out_nothing_is_foreground(colour: int) -> None:
    assert not pictures.matte(Classic(), np.full((50, 70, 3), colour, np.uint8)).any()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2), (8, 8), (9, 2000), (3000, 11), (9, 65500)])
@pytest.mark.parametrize("make", ["noise", "grain", "flat"])
def test_every_size_gets_an_answer_of_its_size(size: tuple[int, int], make: str) -> None:
    rng = np.random.default_rng(3)
    made: dict[str, Callable[[], pictures.Bytes]] = {
        "noise": lambda: pictures.noise(size[1], size[0]),
        "grain": lambda: rng.integers(0, 256, (*size, 3)).astype(np.uint8),
        "flat": lambda: np.full((*size, 3), 77, np.uint8),
    }

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy warns where a NaN is born
        matte = pictures.matte(Classic(), made[make]())

    assert matte.shape == size
    assert matte.dtype == np.uint8


@pytest.mark.parametrize("name", ["auto", "classic"])
def test_what_needs_no_weights_loads_and_says_how_good_it_is(name: str) -> None:
    engine, upscaler = engines.load(name), engines.load_upscaler("lanczos")

    assert (engine.name, upscaler.name) == ("classic", "lanczos")
    assert engine.quality.endswith(".")
    assert upscaler.quality.endswith(".")


def test_auto_is_the_network_where_its_weights_are_given_and_nothing_else_then() -> None:
    with pytest.raises(ValueError, match=r"no file or folder /nowhere|pip install 'nijika\[worker\]'"):
        engines.load("auto", "/nowhere")


@pytest.mark.parametrize("load", [lambda: engines.load("birefnet"), lambda: engines.load_upscaler("realesrgan")])
def test_what_needs_weights_says_what_to_do_without_them(load: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"needs (weights|a folder with its weights)|pip install 'nijika\[worker\]'"):
        load()


@pytest.mark.parametrize("load", [engines.load, engines.load_upscaler])
def test_what_has_no_use_for_weights_refuses_them(load: Callable[[str, str], object]) -> None:
    with pytest.raises(ValueError, match=r"no use for (--weights|weights)"):
        load("classic" if load is engines.load else "lanczos", "somewhere")


def test_what_is_no_network_cannot_be_compiled() -> None:
    with pytest.raises(ValueError, match="no use for --compile"):
        engines.load("classic", compiles=True)
