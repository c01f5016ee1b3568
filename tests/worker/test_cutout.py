"""What a caller wishes of a cut-out is what its file shows, with an engine whose answer is known."""

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest

from tests.worker import pictures
from tests.worker.pictures import Bytes
from tests.worker.test_background import swapped
from tests.worker.test_options import chosen
from worker import wishes
from worker.cutout import Cutting, File
from worker.pixels import Picture
from worker.problems import BadOption

HEIGHT, WIDTH = 1200, 1600
RGB = pictures.noise(WIDTH, HEIGHT)
BOX = np.s_[300:900, 400:1000]  # where the object is
ALPHA = np.zeros((HEIGHT, WIDTH), np.uint8)
ALPHA[BOX] = 255
PICTURE = Picture(RGB, None, None)


class Known:
    """An engine that has been told where the object is; it remembers what it was shown."""

    name = "known"
    quality = "Perfect."
    resolutions: tuple[int, ...] = (1024,)
    pixels_together = 0

    def __init__(self, alpha: Bytes = ALPHA) -> None:
        self.alpha = alpha
        self.shown: tuple[int, ...] = ()

    def view(self, rgb: Bytes, resolution: int | None) -> Bytes:
        del resolution
        self.shown = rgb.shape[:2]
        return rgb

    def alphas(self, views: Sequence[Bytes]) -> Sequence[Bytes]:
        return [self.alpha for _ in views]

    def enlarge(self, alpha: Bytes, view: Bytes, rgb: Bytes) -> Bytes:
        del view
        return np.asarray(cv2.resize(alpha, rgb.shape[1::-1], interpolation=cv2.INTER_AREA), np.uint8)

    def warm_up(self) -> None: ...

    def is_out_of_memory(self, error: Exception) -> bool:
        return isinstance(error, MemoryError)

    def is_lost(self, error: Exception) -> bool:
        del error
        return False


def cut(picture: Picture = PICTURE, engine: Known | None = None, backdrop: Picture | None = None, **given: Any) -> File:
    engine = engine or Known()
    wish = wishes.Cutout.of(chosen(**given), has_backdrop=backdrop is not None)
    cutting = Cutting(picture, backdrop, wish, engine)
    return cutting.finish(engine.alphas([cutting.view])[0])


def pixels(file: File) -> Bytes:
    image = pictures.opened(file.body)
    assert image.size == (file.width, file.height)
    return np.asarray(image)


@pytest.mark.parametrize(("size", "most"), [("preview", 250_000), ("medium", 1_500_000)])
@pytest.mark.parametrize("crop", [False, True])
def test_the_result_is_scaled_down_to_its_size(size: str, most: int, crop: bool) -> None:
    file = cut(size=size, crop=crop)

    area = HEIGHT * WIDTH if not crop else 600 * 600
    assert 0.98 * min(most, area) < file.width * file.height <= most
    assert abs(pixels(file)[..., 3].mean() / 255 - (600 * 600 / HEIGHT / WIDTH if not crop else 1)) < 0.01


@pytest.mark.parametrize("size", ["auto", "hd", "full"])
def test_a_result_is_never_scaled_up(size: str) -> None:
    assert pixels(cut(size=size)).shape == (HEIGHT, WIDTH, 4)


def test_cropped_is_what_can_be_seen_and_nothing_else() -> None:
    np.testing.assert_array_equal(pixels(cut(crop=True))[..., :3], RGB[BOX])


def test_a_margin_is_transparent_also_beyond_the_picture() -> None:
    alpha = np.zeros_like(ALPHA)
    alpha[:100, :200] = 255

    image = pixels(cut(engine=Known(alpha), crop=True, crop_margin="10px 20px 30px 40px"))

    assert image.shape == (140, 260, 4)
    np.testing.assert_array_equal(image[10:110, 40:240, :3], RGB[:100, :200])
    assert image[..., 3].astype(int).sum() == 255 * 100 * 200


def test_where_nothing_is_found_cropping_leaves_the_whole() -> None:
    assert pixels(cut(engine=Known(np.zeros_like(ALPHA)), crop=True)).shape == (HEIGHT, WIDTH, 4)


def test_a_faint_trace_is_no_part_of_the_object() -> None:
    alpha = ALPHA.copy()
    alpha[0, 0] = 5

    assert cut(engine=Known(alpha), crop=True).width == 600


def test_only_the_region_is_shown_to_the_engine_and_all_else_is_background() -> None:
    engine = Known(np.full((10, 10), 255, np.uint8))

    image = pixels(cut(engine=engine, roi="25% 600px 50% 100%"))

    assert engine.shown == (600, 400)
    assert image.shape == (HEIGHT, WIDTH, 4)
    true = np.zeros_like(ALPHA)
    true[600:, 400:800] = 255
    np.testing.assert_array_equal(image[..., 3], true)


def test_a_region_stays_in_its_place_when_the_result_is_scaled() -> None:
    engine = Known(np.full((10, 10), 255, np.uint8))

    image = pixels(cut(engine=engine, roi="25% 600px 50% 100%", size="preview"))

    rows, columns = np.flatnonzero(image[..., 3].any(axis=1)), np.flatnonzero(image[..., 3].any(axis=0))
    assert abs(rows[0] / len(image) - 0.5) < 0.01
    assert abs(columns[0] / image.shape[1] - 0.25) < 0.01
    assert abs(columns[-1] / image.shape[1] - 0.5) < 0.01


def test_a_region_outside_of_the_picture_is_refused_with_its_size() -> None:
    with pytest.raises(BadOption, match="1600 x 1200"):
        cut(roi="5000 5000 6000 6000")


def test_channels_alpha_is_the_transparency_alone() -> None:
    file = cut(channels="alpha")

    assert (file.kind, file.cleaning) == ("png", None)
    np.testing.assert_array_equal(pixels(file), ALPHA)


def test_channels_alpha_follows_crop_and_size() -> None:
    assert pixels(cut(channels="alpha", crop=True, size="preview")).shape == (500, 500)


def test_an_opaque_colour_lies_behind_and_leaves_no_transparency() -> None:
    image = pixels(cut(bg_color="0a0b0c"))

    assert image.shape == (HEIGHT, WIDTH, 3)
    assert image[0, 0].tolist() == [10, 11, 12]
    np.testing.assert_array_equal(image[BOX], RGB[BOX])


def test_a_colour_may_be_half_transparent() -> None:
    image = pixels(cut(bg_color="ff000080"))

    assert image[0, 0].tolist() == [255, 0, 0, 128]
    assert image[600, 600].tolist() == [*RGB[600, 600], 255]


def test_a_jpeg_without_a_colour_is_white_behind() -> None:
    file = cut(format="jpg")

    assert file.kind == "jpg"
    assert pictures.opened(file.body).format == "JPEG"
    assert pixels(file)[:200].min() >= 250


def test_what_is_laid_over_each_other_is_mixed_in_srgb_and_has_no_profile() -> None:
    red = Picture(np.full((HEIGHT, WIDTH, 3), (255, 0, 0), np.uint8), None, swapped())

    on_blue, on_red = cut(red, bg_color="00f", clean_edges=False), cut(backdrop=red, format="png", clean_edges=False)
    alone = cut(red, clean_edges=False)

    assert np.abs(pixels(on_blue)[600, 700].astype(int) - (0, 255, 0)).max() <= 2
    assert pixels(on_blue)[0, 0].tolist() == [0, 0, 255]
    assert np.abs(pixels(on_red)[0, 0].astype(int) - (0, 255, 0)).max() <= 2
    assert "icc_profile" not in pictures.opened(on_blue.body).info
    assert pictures.opened(alone.body).info["icc_profile"] == red.icc


def test_a_backdrop_covers_the_result_after_the_crop() -> None:
    rgb = np.zeros((100, 400, 3), np.uint8)
    rgb[:, 200:] = 255
    alpha = np.zeros_like(ALPHA)
    alpha[500:600, 500:700] = 255

    image = pixels(cut(engine=Known(alpha), backdrop=Picture(rgb, None, None), crop=True, crop_margin="50px"))

    assert image.shape == (200, 300, 3)  # no alpha left
    np.testing.assert_array_equal(image[50:150, 50:250], RGB[500:600, 500:700])
    assert (image[0, 0].max(), image[0, -1].min()) == (0, 255)


@pytest.mark.parametrize(
    ("given", "kind"), [({}, "png"), ({"bg_color": "white"}, "jpg"), ({"bg_color": "fff8"}, "png")]
)
def test_auto_is_png_where_something_is_transparent_else_jpg(given: dict[str, Any], kind: str) -> None:
    file = cut(format="auto", **given)

    assert file.kind == kind
    assert pictures.opened(file.body).format == {"png": "PNG", "jpg": "JPEG"}[kind]


def test_auto_of_an_object_that_fills_the_picture_is_jpg() -> None:
    assert cut(engine=Known(np.full_like(ALPHA, 255)), format="auto").kind == "jpg"


def test_a_zip_holds_both_at_the_size_that_was_wished() -> None:
    file = cut(format="zip", size="preview")

    with zipfile.ZipFile(io.BytesIO(file.body)) as archive:
        sizes = {pictures.opened(archive.read(name)).size for name in ("color.jpg", "alpha.png")}
    assert sizes == {(file.width, file.height)}


def test_soft_edges_are_cleaned_unless_told_otherwise() -> None:
    alpha = np.asarray(cv2.GaussianBlur(ALPHA, (0, 0), 4), np.uint8)
    share = (alpha / 255)[..., None]
    rgb = np.rint(np.array((200, 20, 20)) * share + np.array((20, 200, 20)) * (1 - share)).astype(np.uint8)
    soft = (alpha > 40) & (alpha < 255)

    cleaned, left = (cut(Picture(rgb, None, None), Known(alpha), clean_edges=clean) for clean in (True, False))

    assert np.abs(pixels(cleaned)[soft][:, 1].astype(int) - 20).mean() < 10
    np.testing.assert_array_equal(pixels(left)[soft][:, :3], rgb[soft])
    assert cleaned.cleaning is not None
    assert left.cleaning is None


@pytest.mark.parametrize("given", [{}, {"size": "preview"}, {"crop": True, "size": "preview"}, {"format": "jpg"}])
def test_what_a_picture_hides_itself_is_never_seen(given: dict[str, Any]) -> None:
    own = np.full_like(ALPHA, 255)
    own[:, :700] = 0
    one, other = RGB.copy(), RGB.copy()
    one[own == 0], other[own == 0] = 0, 255

    files = [cut(Picture(rgb, own, None), **given) for rgb in (one, other)]

    assert files[0].body == files[1].body


def test_a_picture_that_brings_transparency_keeps_its_colours() -> None:
    own = np.full_like(ALPHA, 255)
    own[0, 0] = 0
    alpha = np.asarray(cv2.GaussianBlur(ALPHA, (0, 0), 4), np.uint8)

    file = cut(Picture(RGB, own, None), Known(alpha))

    seen = pixels(file)[..., 3] > 0
    np.testing.assert_array_equal(pixels(file)[seen][:, :3], RGB[seen])
    assert file.cleaning is None


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 2)])
@pytest.mark.parametrize("kind", ["png", "webp", "jpg", "zip", "auto"])
def test_the_smallest_pictures_get_everything(size: tuple[int, int], kind: str) -> None:
    picture, engine = Picture(np.full((*size, 3), 9, np.uint8), None, None), Known(np.full(size, 128, np.uint8))

    file = cut(picture, engine, format=kind, crop=True, crop_margin="10%", size="preview", roi="0 0 100% 100%")

    assert file.body
    assert (file.width, file.height) >= (1, 1)
