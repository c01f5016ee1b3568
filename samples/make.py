"""Paints mug.jpg, the picture of the README and the demo: a glazed mug and a tangerine in a light studio.

Run it with `python samples/make.py`; the scene is a signed distance field (Hart 1996), walked ray by ray with numpy.
"""

# ruff: noqa: PLR2004 - a painting is made of numbers

from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array: TypeAlias = NDArray[np.float32]

WIDTH, HEIGHT, RAYS_A_SIDE = 1200, 900, 3
EYE, TARGET, ZOOM = (0.2, 4.0, 8.3), (0.08, 0.98, 0.0), 3.9
LIGHT = np.array((-0.52, 0.74, 0.43), np.float32)
FLOOR, GLAZE, COFFEE, FRUIT, STEM = range(5)
COLOURS = np.array(
    [(0.83, 0.8, 0.76), (0.012, 0.17, 0.19), (0.055, 0.02, 0.008), (0.9, 0.25, 0.012), (0.1, 0.2, 0.03)], np.float32
)
SHINE = np.array([0, 1, 0.55, 0.22, 0.05], np.float32)


def main() -> None:
    """Write mug.jpg beside this file."""
    rows = [_row_block(top, min(top + 60, HEIGHT)) for top in range(0, HEIGHT, 60)]
    picture = Image.fromarray((_display(np.concatenate(rows)) * 255 + 0.5).astype(np.uint8))
    picture.save(Path(__file__).with_name("mug.jpg"), quality=90, optimize=True)


def _row_block(top: int, bottom: int) -> Array:
    n = RAYS_A_SIDE
    y, x = np.mgrid[top * n : bottom * n, : WIDTH * n].astype(np.float32)
    across, up = ((x + 0.5) / n - WIDTH / 2) / HEIGHT * 2, -((y + 0.5) / n - HEIGHT / 2) / HEIGHT * 2
    colours = _seen(_rays(across.ravel(), up.ravel()), np.stack([across.ravel(), up.ravel()], -1))
    return colours.reshape(bottom - top, n, WIDTH, n, 3).mean(axis=(1, 3))


def _rays(across: Array, up: Array) -> Array:
    forward = _unit(np.subtract(TARGET, EYE, dtype=np.float32))
    right = _unit(np.cross(forward, (0, 1, 0)).astype(np.float32))
    above = np.cross(right, forward)
    return _unit(forward * ZOOM + across[:, None] * right + up[:, None] * above)


def _seen(rays: Array, screen: Array) -> Array:
    points, hit = _walk(rays)
    colours = _backdrop(screen)
    floor = np.flatnonzero(~hit & (rays[:, 1] < -0.05))
    ground = np.array(EYE, np.float32) + rays[floor] * (-EYE[1] / rays[floor, 1])[:, None]
    near = np.hypot(ground[:, 0], ground[:, 2]) < 9
    floor, ground = floor[near], ground[near]
    dim = 1 - 0.42 * (1 - _lit(ground)) * np.exp(-np.hypot(ground[:, 0], ground[:, 2]) / 5)
    tint = np.array((1.0, 1.03, 1.07), np.float32)
    colours[floor] *= dim[:, None] ** tint * (0.4 + 0.6 * _open(ground, np.array((0, 1, 0), np.float32)))[:, None]
    colours[hit] = _shaded(points[hit], rays[hit])
    return colours


def _backdrop(screen: Array) -> Array:
    glow = np.exp(-((screen[:, 0] + 0.25) ** 2 + (screen[:, 1] - 0.25) ** 2) / 3.2)
    return (COLOURS[FLOOR] * (0.62 + 0.34 * glow)[:, None]).astype(np.float32)


def _walk(rays: Array) -> tuple[Array, NDArray[np.bool_]]:
    points = np.array(EYE, np.float32) + rays * 4
    hit = np.zeros(len(rays), bool)
    walking = np.arange(len(rays))
    for _ in range(160):
        step = _distance(points[walking])
        points[walking] += rays[walking] * (step * 0.9)[:, None]
        hit[walking] = step < 8e-4  # well under one ray's width
        away = (points[walking, 1] < -0.05) | (points[walking, 2] < -4)  # below or behind everything
        walking = walking[~hit[walking] & ~away]
        if not len(walking):
            break
    return points, hit


def _distance(points: Array) -> Array:
    return _parts(points).min(axis=0)


def _parts(p: Array) -> Array:
    """Distances to glaze, coffee, fruit and stem, one row each."""
    from_axis = np.hypot(p[:, 0] - 0.35, p[:, 2])
    wide = 1.06 - 0.05 * np.cos(p[:, 1] * 2.2 - 0.3)
    outer = _rounded(from_axis, p[:, 1] - 1.06, wide, 1.06, 0.16)
    cavity = _rounded(from_axis, p[:, 1] - 1.3, wide - 0.13, 1.15, 0.14)
    ring = np.hypot(np.hypot((p[:, 0] - 1.5) * 1.02, (p[:, 1] - 1.12) * 0.86) - 0.52, p[:, 2] * 0.72) - 0.105
    glaze = _blend_out(_blend(outer, ring, 0.13), cavity, 0.05)
    coffee = np.maximum(np.abs(p[:, 1] - 1.78) - 0.02, from_axis - wide + 0.1)
    q = (p - np.array((-1.3, 0.56, 1.05), np.float32)) / np.array((0.66, 0.56, 0.66), np.float32)
    height = np.hypot(q[:, 0] - 0.12, q[:, 2] - 0.1)
    fruit = (np.linalg.norm(q, axis=1) - 1 + 0.09 * np.exp(-((height / 0.22) ** 2)) * (q[:, 1] > 0)) * 0.5
    star = 0.045 + 0.02 * np.cos(5 * np.arctan2(q[:, 2] - 0.1, q[:, 0] - 0.12))
    stem = _rounded(height * 0.6, p[:, 1] - 1.06, star, 0.05, 0.02)
    return np.stack([glaze, coffee, fruit, stem]).astype(np.float32)


def _rounded(across: Array, along: Array, half_width: Array, half_height: float, radius: float) -> Array:
    x, y = across - half_width + radius, np.abs(along) - half_height + radius
    return np.hypot(np.maximum(x, 0), np.maximum(y, 0)) + np.minimum(np.maximum(x, y), 0) - radius


def _blend(one: Array, other: Array, soft: float) -> Array:
    share = np.clip(0.5 + 0.5 * (other - one) / soft, 0, 1)
    return other + (one - other) * share - soft * share * (1 - share)


def _blend_out(solid: Array, cavity: Array, soft: float) -> Array:
    return -_blend(-solid, cavity, soft)


def _lit(points: Array) -> Array:
    """How much of the wide lamp a point sees, 0..1."""
    light = np.ones(len(points), np.float32)
    travelled = np.full(len(points), 0.04, np.float32)
    for _ in range(48):
        gap = _distance(points + LIGHT * travelled[:, None])
        light = np.minimum(light, 0.5 + 0.5 * np.clip(gap / (0.2 * travelled), -1, 1))
        travelled += np.clip(gap * 0.7, 0.03, 0.25)
    return light * light * (3 - 2 * light)


def _open(points: Array, normals: Array) -> Array:
    """How much of the surrounding light reaches a point, 0..1."""
    hidden, rising = np.zeros(len(points), np.float32), np.maximum(normals[..., 1], 0)
    for number, reach in enumerate((0.05, 0.14, 0.3, 0.55)):
        gap = np.minimum(_distance(points + normals * reach), points[:, 1] + reach * rising + 0.02)
        hidden += np.maximum(reach - gap, 0) / reach * 0.5 ** (number + 1)
    return np.clip(1 - hidden, 0, 1)


def _shaded(points: Array, rays: Array) -> Array:
    kind = 1 + _parts(points).argmin(axis=0)
    normals = _normals(points, kind)
    lit = _lit(points + normals * 0.01)
    occlusion = _open(points, normals)
    lamp = np.maximum(normals @ LIGHT, 0) * lit
    sky = 0.5 + 0.5 * normals[:, 1]
    bounce = np.maximum(-normals[:, 1] * 0.5 + 0.25, 0) * np.exp(-points[:, 1])
    light = (1.55 * lamp + (0.42 * sky + 0.3 * bounce + 0.12) * occlusion)[:, None]
    mirrored = rays - 2 * (rays * normals).sum(axis=1)[:, None] * normals
    grazing = (1 - np.clip(-(rays * normals).sum(axis=1), 0, 1)) ** 5
    gloss = SHINE[kind] * (0.04 + 0.5 * grazing) * _studio(mirrored) * (0.25 + 0.75 * occlusion)
    return (COLOURS[kind] * light + gloss[:, None]).astype(np.float32)


def _normals(points: Array, kind: NDArray[np.intp]) -> Array:
    axes = np.eye(3, dtype=np.float32) * 2e-3
    slope = np.stack([_distance(points + axis) - _distance(points - axis) for axis in axes], -1)
    bent = 5 * np.sin(points[:, [1, 2, 0]] * 11), 4 * np.sin(points * 13)
    pores = np.sin(points * 67 + bent[0]) * np.sin(points[:, [2, 0, 1]] * 59 + bent[1])
    return _unit(_unit(slope) + np.where((kind == FRUIT)[:, None], 0.035 * pores, 0))


def _studio(direction: Array) -> Array:
    """The light that comes back from a direction: two soft boxes, a bright ceiling, and a pale room."""
    x, y, z = direction.T
    left = _window(z - 0.55, 0.42) * _window(y - 0.5, 0.38) * (x < -0.2)
    right = _window(z + 0.05, 0.22) * _window(y - 0.45, 0.5) * (x > 0.3)
    return 9 * left + 3 * right + 0.45 + 0.6 * np.clip(y, 0, 1)


def _window(offset: Array, half: float) -> Array:
    return 1 / (1 + np.exp((np.abs(offset) - half) / 0.025))


def _display(linear: Array) -> Array:
    film = np.random.default_rng(7).normal(0, 0.0035, linear.shape[:2])[..., None]
    toned = np.clip(np.where(linear > 0.8, 1 - 0.2 * np.exp(-(linear - 0.8) / 0.2), linear), 0, 1)
    return np.clip(np.where(toned <= 0.0031308, 12.92 * toned, 1.055 * toned ** (1 / 2.4) - 0.055) + film, 0, 1)


def _unit(vectors: Array) -> Array:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


if __name__ == "__main__":
    main()
