"""The files that go out: right for every reader, with the picture's colours, its profile, and nothing hidden."""

import io
import zipfile
import zlib

import numpy as np
import pytest

from tests.worker import pictures
from worker import outputs
from worker.pixels import Picture
from worker.problems import TooLong

RGB = pictures.noise()
ALPHA = pictures.noise(channels=1, seed=4).reshape(RGB.shape[:2])


def test_colours_and_alpha_are_written_as_they_are() -> None:
    written = np.asarray(pictures.opened(outputs.encode(Picture(RGB, ALPHA, None), "png")))

    np.testing.assert_array_equal(written[..., 3], ALPHA)
    np.testing.assert_array_equal(written[ALPHA > 0][:, :3], RGB[ALPHA > 0])


def test_hidden_colours_are_zeroed() -> None:
    written = np.asarray(pictures.opened(outputs.encode(Picture(RGB, np.zeros_like(ALPHA), None), "png")))

    assert not written.any()


@pytest.mark.parametrize("kind", ["png", "webp", "zip"])
def test_hidden_colours_leave_no_trace_in_the_file(kind: str) -> None:
    alpha = np.where(np.arange(60) < 30, 0, 255).astype(np.uint8)[None].repeat(40, 0)
    other = RGB.copy()
    other[alpha == 0] = 99

    assert outputs.encode(Picture(RGB, alpha, None), kind) == outputs.encode(Picture(other, alpha, None), kind)


def test_the_profile_is_an_iccp_chunk_right_after_the_header_with_a_true_checksum() -> None:
    profile = pictures.srgb_profile()

    png = outputs.encode(Picture(RGB, ALPHA, profile), "png")

    length = int.from_bytes(png[33:37], "big")
    assert png[37:41] == b"iCCP"
    assert zlib.crc32(png[37 : 41 + length]) == int.from_bytes(png[41 + length : 45 + length], "big")
    assert pictures.opened(png).info["icc_profile"] == profile


def test_webp_keeps_alpha_and_profile() -> None:
    profile = pictures.srgb_profile()

    image = pictures.opened(outputs.encode(Picture(RGB, ALPHA, profile), "webp"))

    assert (image.format, image.mode, image.info["icc_profile"]) == ("WEBP", "RGBA", profile)
    np.testing.assert_array_equal(np.asarray(image)[..., 3], ALPHA)


def test_webp_refuses_a_side_that_it_cannot_hold() -> None:
    with pytest.raises(TooLong, match="16383"):
        outputs.encode(Picture(np.zeros((1, 16_384, 3), np.uint8), np.zeros((1, 16_384), np.uint8), None), "webp")


@pytest.mark.parametrize("kind", ["jpg", "zip"])
@pytest.mark.parametrize("size", [(1, 65_501), (65_501, 1)])
def test_jpeg_refuses_a_side_that_it_cannot_hold(kind: str, size: tuple[int, int]) -> None:
    with pytest.raises(TooLong, match="65500"):
        outputs.encode(Picture(np.zeros((*size, 3), np.uint8), None, None), kind)
    with pytest.raises(TooLong, match="65500"):
        outputs.grey(np.zeros(size, np.uint8), "jpg")


def test_a_jpeg_keeps_colours_and_a_profile_of_any_length() -> None:
    for profile in (pictures.srgb_profile(), pictures.srgb_profile() + bytes(150_000), None):
        image = pictures.opened(outputs.encode(Picture(RGB, None, profile), "jpg", 95))

        assert (image.format, image.mode, image.info.get("icc_profile")) == ("JPEG", "RGB", profile)
        assert np.abs(np.asarray(image).astype(int) - RGB).mean() < 4


@pytest.mark.parametrize("kind", ["jpg", "webp", "zip"])
def test_less_quality_is_a_smaller_file(kind: str) -> None:
    picture = Picture(pictures.noise(600, 400), None, None)

    assert len(outputs.encode(picture, kind, 20)) < 0.8 * len(outputs.encode(picture, kind, 95))


def test_an_opaque_picture_is_written_without_alpha() -> None:
    for kind in ("png", "webp"):
        assert pictures.opened(outputs.encode(Picture(RGB, None, None), kind)).mode == "RGB"


def test_a_zip_holds_colour_and_alpha_apart_and_both_make_the_picture() -> None:
    with zipfile.ZipFile(
        io.BytesIO(outputs.encode(Picture(RGB, ALPHA, pictures.srgb_profile()), "zip", 95))
    ) as archive:
        names = archive.namelist()
        colour, alpha = (pictures.opened(archive.read(name)) for name in names)

    assert names == ["color.jpg", "alpha.png"]
    assert (colour.format, colour.mode, alpha.format, alpha.mode) == ("JPEG", "RGB", "PNG", "L")
    assert colour.info["icc_profile"] == pictures.srgb_profile()
    np.testing.assert_array_equal(np.asarray(alpha), ALPHA)
    assert np.abs(np.asarray(colour).astype(int) - RGB)[ALPHA > 0].mean() < 4


def test_the_zip_of_an_opaque_picture_says_so() -> None:
    with zipfile.ZipFile(io.BytesIO(outputs.encode(Picture(RGB, None, None), "zip"))) as archive:
        assert (np.asarray(pictures.opened(archive.read("alpha.png"))) == 255).all()


@pytest.mark.parametrize(("kind", "name"), [("png", "PNG"), ("webp", "WEBP"), ("jpg", "JPEG")])
def test_alpha_alone_is_written_in_any_format_of_pictures(kind: str, name: str) -> None:
    image = pictures.opened(outputs.grey(ALPHA, kind, 95))

    assert image.format == name
    assert np.abs(np.asarray(image.convert("L")).astype(int) - ALPHA).mean() < 4


def test_alpha_alone_is_an_8_bit_grey_png() -> None:
    image = pictures.opened(outputs.grey(ALPHA))

    assert (image.format, image.mode) == ("PNG", "L")
    np.testing.assert_array_equal(np.asarray(image), ALPHA)


@pytest.mark.parametrize("size", [(1, 1), (1, 65_500), (65_500, 1)])
def test_the_smallest_and_the_longest_pictures_are_written(size: tuple[int, int]) -> None:
    png = outputs.encode(Picture(np.zeros((*size, 3), np.uint8), np.full(size, 255, np.uint8), None), "png")

    assert pictures.opened(png).size == size[::-1]
