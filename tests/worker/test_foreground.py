"""Soft edges lose the colour of what was behind them, and nothing else changes."""

import cv2
import numpy as np
import pytest

from tests.worker import pictures
from worker import foreground
from worker.pixels import Bytes


def textured(seed: int, height: int, width: int, low: float) -> pictures.Truth:
    grain = pictures.noise(width, height, seed=seed).astype(np.float32)
    return np.asarray(grain * 0.4 + low, np.float32)


def composite(softness: float, height: int = 600, width: int = 800) -> tuple[Bytes, Bytes, pictures.Truth]:
    """A picture of a known foreground, alpha, and that foreground: dark things before something bright."""
    true, behind = textured(1, height, width, 10), textured(2, height, width, 150)
    alpha = np.rint(cv2.GaussianBlur(pictures.shape("star", height, width), (0, 0), softness) * 255).astype(np.uint8)
    share = (alpha / 255)[..., None]
    return np.rint(true * share + behind * (1 - share)).astype(np.uint8), alpha, true


def error(rgb: Bytes, alpha: Bytes, true: pictures.Truth) -> float:
    """What of it would be seen on another background, in levels, over the soft pixels."""
    soft = (alpha > 0) & (alpha < 255)
    return float((np.abs(rgb[soft] - true[soft]) * (alpha[soft] / 255)[:, None]).mean())


@pytest.mark.parametrize(("softness", "part"), [(1.5, 0.1), (4, 0.2), (10, 0.4)])
def test_the_error_of_soft_edges_drops_to_a_fraction(softness: float, part: float) -> None:
    rgb, alpha, true = composite(softness)

    cleaned = foreground.clean(rgb, alpha)

    assert error(cleaned, alpha, true) < part * error(rgb, alpha, true)


def test_a_thin_hair_gets_the_colour_of_the_hair() -> None:
    alpha = np.zeros((400, 400), np.uint8)
    cv2.circle(alpha, (200, 300), 80, 255, -1)
    cv2.line(alpha, (200, 240), (120, 30), 255, 1, cv2.LINE_AA)
    alpha = cv2.GaussianBlur(alpha, (3, 3), 0).astype(np.uint8)
    share = (alpha / 255)[..., None]
    true, behind = np.full((400, 400, 3), (60, 30, 20), np.float32), np.full((400, 400, 3), (90, 180, 240), np.float32)
    rgb = np.rint(true * share + behind * (1 - share)).astype(np.uint8)

    cleaned = foreground.clean(rgb, alpha)

    assert error(cleaned, alpha, true) < 0.5 * error(rgb, alpha, true)


def test_opaque_and_hidden_pixels_stay_as_they_are_and_the_input_too() -> None:
    rgb, alpha, _ = composite(3)
    before = rgb.copy()

    cleaned = foreground.clean(rgb, alpha)

    hard = (alpha == 0) | (alpha == 255)
    np.testing.assert_array_equal(cleaned[hard], rgb[hard])
    np.testing.assert_array_equal(rgb, before)
    assert (cleaned[~hard] != rgb[~hard]).any()


def test_without_soft_pixels_there_is_nothing_to_do() -> None:
    rgb = pictures.noise(40, 30)

    assert foreground.clean(rgb, np.full((30, 40), 255, np.uint8)) is rgb
    assert foreground.clean(rgb, np.zeros((30, 40), np.uint8)) is rgb


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (3, 5), (2, 65_000), (97, 131)])
def test_every_size_is_cleaned(size: tuple[int, int]) -> None:
    rgb, alpha = np.full((*size, 3), 200, np.uint8), np.full(size, 128, np.uint8)

    assert foreground.clean(rgb, alpha).shape == (*size, 3)
    assert foreground.spread(rgb, alpha).shape == (*size, 3)


def test_a_plain_picture_stays_plain_whatever_its_alpha() -> None:
    rgb, (_, alpha, _) = np.full((600, 800, 3), (30, 120, 210), np.uint8), composite(5)

    assert np.abs(foreground.clean(rgb, alpha).astype(int) - rgb).max() <= 1


def test_spreading_draws_the_visible_colour_over_the_hidden_and_tells_nothing_of_it() -> None:
    rgb, alpha, _ = composite(3)
    other = rgb.copy()
    other[alpha == 0] = 255

    spread = foreground.spread(rgb, alpha)

    np.testing.assert_array_equal(spread, foreground.spread(other, alpha))
    np.testing.assert_array_equal(spread[alpha > 0], rgb[alpha > 0])
    next_to = (alpha == 0) & (cv2.dilate(alpha, np.ones((9, 9))) > 20)
    assert spread[next_to].mean() < 0.6 * rgb[next_to].mean()
