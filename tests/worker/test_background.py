"""A cut-out laid on a colour or a picture is what Porter and Duff say."""

import numpy as np
import pytest

from tests.worker import pictures
from worker import background
from worker.pixels import Bytes, Picture

RGB = pictures.noise(60, 40)
ALPHA = pictures.noise(60, 40, channels=1, seed=4).reshape(40, 60)
ALPHA[:10], ALPHA[-10:] = 0, 255


def over(behind_rgb: Bytes, behind_alpha: Bytes) -> tuple[pictures.Truth, pictures.Truth]:
    front, back = ALPHA[..., None] / 255, behind_alpha[..., None] / 255
    total = front + back * (1 - front)
    mixed = (RGB * front + behind_rgb * back * (1 - front)) / np.maximum(total, 1e-9)
    return mixed.astype(np.float32), total[..., 0].astype(np.float32) * 255


@pytest.mark.parametrize("opacity", [0, 77, 255])
def test_a_colour_of_any_opacity_lies_behind(opacity: int) -> None:
    behind = background.plain((10, 200, 90, opacity), ALPHA.shape)

    laid = background.laid(Picture(RGB, ALPHA, b"profile"), behind)

    rgb, alpha = over(behind.rgb, np.full_like(ALPHA, opacity))
    seen = alpha > 0
    assert np.abs(laid.rgb[seen] - rgb[seen]).max() <= 1
    assert (laid.alpha is None) == (opacity == 255)
    if laid.alpha is not None:
        assert np.abs(laid.alpha - alpha).max() <= 1
    assert laid.icc == b"profile"


def test_a_picture_lies_behind_and_where_it_is_transparent_so_is_the_result() -> None:
    behind = Picture(pictures.noise(60, 40, seed=9), pictures.noise(60, 40, channels=1, seed=8).reshape(40, 60), None)
    assert behind.alpha is not None

    laid = background.laid(Picture(RGB, ALPHA, None), behind)

    rgb, alpha = over(behind.rgb, behind.alpha)
    assert laid.alpha is not None
    assert np.abs(laid.alpha - alpha).max() <= 1
    assert np.abs(laid.rgb[alpha > 8] - rgb[alpha > 8]).max() <= 1


def test_neither_picture_is_changed() -> None:
    behind = background.plain((1, 2, 3, 255), ALPHA.shape)
    before = behind.rgb.copy(), RGB.copy()

    background.laid(Picture(RGB, ALPHA, None), behind)

    np.testing.assert_array_equal(behind.rgb, before[0])
    np.testing.assert_array_equal(RGB, before[1])


@pytest.mark.parametrize("size", [(40, 60), (100, 100), (20, 90), (300, 7)])
def test_a_backdrop_fills_the_whole_size_and_keeps_its_middle(size: tuple[int, int]) -> None:
    rgb = np.zeros((90, 120, 3), np.uint8)
    rgb[40:50, 55:65] = 255

    covering = background.covering(Picture(rgb, None, None), size)

    assert covering.rgb.shape == (*size, 3)
    assert covering.rgb[size[0] // 2, size[1] // 2].min() > 60
    assert covering.rgb[0, 0].max() == 0


def test_a_backdrop_of_the_same_size_stays_as_it_is() -> None:
    np.testing.assert_array_equal(background.covering(Picture(RGB, None, None), (40, 60)).rgb, RGB)


def swapped() -> bytes:
    """A profile in whose colours red is what sRGB calls green, and the other way round."""
    profile = pictures.srgb_profile()
    return profile.replace(b"rXYZ", b"?XYZ").replace(b"gXYZ", b"rXYZ").replace(b"?XYZ", b"gXYZ")


def test_pixels_are_brought_to_srgb_by_their_profile() -> None:
    rgb = np.zeros((700, 1000, 3), np.uint8)  # more than is converted at a time
    rgb[..., 0] = 255

    converted = background.in_srgb(Picture(rgb, None, swapped()))

    assert np.abs(converted.rgb.astype(int) - (0, 255, 0)).max() <= 2
    assert converted.icc is None
    assert (rgb == (255, 0, 0)).all()


@pytest.mark.parametrize("profile", [None, pictures.profile_of_space(b"RGB ")[:200]])
def test_pixels_without_a_profile_or_with_a_broken_one_stay_as_they_are(profile: bytes | None) -> None:
    converted = background.in_srgb(Picture(RGB, ALPHA, profile))

    np.testing.assert_array_equal(converted.rgb, RGB)
    assert converted.icc is None
