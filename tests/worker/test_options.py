"""Options are read as they are documented, everything else is refused by name, and contradictions are told."""

from typing import Any

import pytest

from worker import background, layout, wishes
from worker.engines.classic import Classic
from worker.engines.lanczos import Lanczos
from worker.options import Chosen
from worker.problems import BadOption, Contradiction, UnknownOption


def chosen(known: Any = wishes.CUTOUT, **given: object) -> Chosen:
    options = Chosen(known)
    for name, value in given.items():
        options.add(name, value)
    return options


def cutout(**given: object) -> wishes.Cutout:
    return wishes.Cutout.of(chosen(**given), has_backdrop=False)


def test_nothing_chosen_is_a_whole_png_with_clean_edges() -> None:
    assert cutout() == wishes.Cutout(
        format="png", size="auto", channels="rgba", crop=False, quality=90, resolution=None, clean_edges=True
    )


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("fff", (255, 255, 255, 255)),
        ("#81d4fa", (129, 212, 250, 255)),
        ("81d4fa77", (129, 212, 250, 119)),
        ("f008", (255, 0, 0, 136)),
        ("green", (0, 128, 0, 255)),
        ("RebeccaPurple", (102, 51, 153, 255)),
    ],
)
def test_a_colour_is_hexadecimal_or_a_name_of_css(text: str, colour: background.Colour) -> None:
    assert cutout(bg_color=text).bg_color == colour


REFUSED: list[tuple[str, object]] = [
    *(
        ("bg_color", text)
        for text in ("", "ff", "fffff", "12345g", "##fff", "nocolour", "rgb(1,2,3)", "\uff11\uff12\uff13")
    ),
    *(("quality", value) for value in (0, 101, -1, "9.5", "x", True, "", "\uff11")),
    *(("crop", value) for value in ("yes", "", 2, None, [1])),
    *(("roi", text) for text in ("", "1 2 3", "1 2 3 4 5", "1 2 3 x", "-1 0 5 5", "1em 2 3 4", "1e3 2 3 4")),
    *(("crop_margin", text) for text in ("", "1 2 3", "1 2 3 4 5", "-1%", "ten")),
    *(("resolution", value) for value in ("0", "10001", "", 512.5)),
    *(("format", value) for value in ("jpeg", "PNG", "")),
    *(("size", value) for value in ("4k", "")),
    ("channels", "rgb"),
    ("bg_image", "file:///etc/passwd"),
    ("clean_edges", "maybe"),
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_any_other_value_is_refused_by_name_and_told_what_is_taken(name: str, value: object) -> None:
    with pytest.raises(BadOption, match=f'The option "{name}" takes .+\\.'):
        chosen(**{name: value})


def test_json_may_use_its_own_numbers_and_truth_values() -> None:
    wish = cutout(crop=True, clean_edges=False, quality=80, format="jpg")

    assert (wish.crop, wish.clean_edges, wish.quality) == (True, False, 80)


def test_an_unknown_option_is_named_and_the_known_ones_are_listed() -> None:
    with pytest.raises(UnknownOption, match=r'no option "colour".*format, size'):
        chosen(colour="red")


@pytest.mark.parametrize(
    "given",
    [
        {"bg_color": "fff", "bg_image": "http://example.com/a.png"},
        {"channels": "alpha", "bg_color": "fff"},
        {"channels": "alpha", "bg_image": "http://example.com/a.png"},
        {"channels": "alpha", "format": "zip"},
        {"channels": "alpha", "clean_edges": True},
        {"crop_margin": "10%"},
        {"crop_margin": "10%", "crop": False},
        {"quality": 80},
        {"quality": 80, "format": "png"},
    ],
)
def test_options_that_cannot_be_meant_together_are_named(given: dict[str, object]) -> None:
    named = [name for name in given if name != "format"]

    with pytest.raises(Contradiction) as caught:
        cutout(**given)

    assert any(f'"{name}"' in caught.value.detail for name in named)
    assert (caught.value.status, caught.value.code) == (400, "contradictory-options")


def test_a_backdrop_in_the_form_contradicts_a_colour_too() -> None:
    with pytest.raises(Contradiction, match='"bg_color" and "bg_image"'):
        wishes.Cutout.of(chosen(bg_color="fff"), has_backdrop=True)


def test_only_resolutions_of_the_engine_are_taken() -> None:
    class Sharp(Classic):
        resolutions: tuple[int, ...] = (1024, 512)

    cutout(resolution="512").check(Sharp())
    cutout().check(Classic())
    with pytest.raises(BadOption, match=r'"resolution" takes.*1024, 512'):
        cutout(resolution="2048").check(Sharp())
    with pytest.raises(BadOption, match='"classic" has no resolution'):
        cutout(resolution="1024").check(Classic())


def test_an_upscale_takes_models_of_the_upscaler_and_denoise_only_where_there_is_one() -> None:
    class Network(Lanczos):
        models: tuple[str, ...] = ("plain", "soft")
        denoising = frozenset({"soft"})

    def wish(**given: object) -> wishes.Upscale:
        return wishes.Upscale.of(chosen(wishes.UPSCALE, **given))

    assert wish().model_of(Network()) == "plain"
    assert wish(model="soft", denoise=0.5).model_of(Network()) == "soft"
    with pytest.raises(BadOption, match='"model" takes one of: plain, soft'):
        wish(model="other").model_of(Network())
    with pytest.raises(BadOption, match='"denoise" has no meaning'):
        wish(denoise=0.5).model_of(Network())
    with pytest.raises(BadOption, match='"scale" takes a number from 1 to 6'):
        wish(scale=7)
    with pytest.raises(Contradiction, match='"quality"'):
        wish(quality=50)


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("0% 0% 100% 100%", layout.Box(0, 0, 200, 100)),
        ("10 20 30 40", layout.Box(10, 20, 30, 40)),
        ("50px 10% 100% 90px", layout.Box(50, 10, 200, 90)),
        ("150 90 50 10", layout.Box(50, 10, 150, 90)),
        ("100 50 900 900", layout.Box(100, 50, 200, 100)),
    ],
)
def test_a_region_is_two_corners_within_the_picture(text: str, box: layout.Box) -> None:
    region = cutout(roi=text).roi

    assert region is not None
    assert region.within(100, 200) == box


@pytest.mark.parametrize("text", ["10 10 10 50", "500 500 900 900", "0 0 0 0"])
def test_a_region_with_nothing_in_it_is_none(text: str) -> None:
    region = cutout(roi=text).roi

    assert region is not None
    assert region.within(100, 200) is None


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("10px", layout.Box(90, 90, 210, 160)),
        ("10%", layout.Box(90, 95, 210, 155)),
        ("10px 20px", layout.Box(80, 90, 220, 160)),
        ("1 2 3 4", layout.Box(96, 99, 202, 153)),
        ("90%", layout.Box(50, 75, 250, 175)),  # at most half of the object
    ],
)
def test_a_margin_is_set_around_the_object_as_css_sets_its_sides(text: str, box: layout.Box) -> None:
    margin = cutout(crop=True, crop_margin=text).crop_margin

    assert margin is not None
    assert margin.around(layout.Box(100, 100, 200, 150)) == box


def test_a_margin_is_500_pixels_at_most() -> None:
    margin = cutout(crop=True, crop_margin="50%").crop_margin

    assert margin is not None
    assert margin.around(layout.Box(0, 0, 4000, 4000)) == layout.Box(-500, -500, 4500, 4500)


@pytest.mark.parametrize(
    ("size", "most"), [("preview", 250_000), ("medium", 1_500_000), ("hd", 4_000_000), ("full", 25_000_000)]
)
def test_a_size_is_the_most_megapixels_in_proportion_and_never_larger(size: str, most: int) -> None:
    megapixels = layout.MEGAPIXELS[size]

    height, width = layout.reduced((6000, 9000), megapixels)

    assert 0.99 * most < height * width <= most
    assert abs(width / height - 1.5) < 0.01
    assert layout.reduced((300, 200), megapixels) == (300, 200)
    assert layout.reduced((6000, 9000), layout.MEGAPIXELS["auto"]) == (6000, 9000)
    assert min(layout.reduced((1, 65_000_000), megapixels)) == 1
