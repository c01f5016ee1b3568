"""Stacked bars as plain geometry, which a template draws as SVG: readable without a script, in both themes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 24.0, 10.0, 24.0
GAP = 0.2
RULES = 4
LABELS_MAX = 6


@dataclass(frozen=True)
class Bar:
    """One step of time: its `label` below the axis, and its values in the order of the parts."""

    label: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Box:
    """A rectangle of the picture; `part` is a class of the style sheet, `title` what it says when pointed at."""

    x: float
    y: float
    width: float
    height: float
    part: str
    title: str


@dataclass(frozen=True)
class Mark:
    """A word in the picture."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Chart:
    """All that there is to draw, in units of the view box."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    rules: tuple[Mark, ...]
    labels: tuple[Mark, ...]
    left: float = LEFT


def stacked(bars: Sequence[Bar], parts: Sequence[tuple[str, str]], *, unit: str = "") -> Chart:
    """A chart of `bars`, whose values are `parts`: (class, name). `unit` is said behind a value, such as "calls"."""
    top = ceiling(max((sum(bar.values) for bar in bars), default=0))
    step = (WIDTH - LEFT - RIGHT) / max(len(bars), 1)
    scale = (HEIGHT - TOP - BOTTOM) / top
    boxes: list[Box] = []
    for index, bar in enumerate(bars):
        y = HEIGHT - BOTTOM
        for value, (part, name) in zip(bar.values, parts, strict=True):
            height = value * scale
            if value > 0:
                y -= height
                title = f"{bar.label}: {value:g} {unit or name}, {name}" if unit else f"{bar.label}: {value:g} {name}"
                boxes.append(
                    Box(_at(LEFT + step * (index + GAP / 2)), _at(y), _at(step * (1 - GAP)), _at(height), part, title)
                )
    rules = tuple(
        Mark(LEFT, _at(HEIGHT - BOTTOM - top * share * scale), f"{top * share:g}")
        for share in (number / RULES for number in range(RULES + 1))
    )
    every = math.ceil(len(bars) / LABELS_MAX) or 1
    labels = tuple(
        Mark(_at(LEFT + step * (index + 0.5)), HEIGHT - 6, bar.label)
        for index, bar in enumerate(bars)
        if (len(bars) - 1 - index) % every == 0
    )
    return Chart(WIDTH, HEIGHT, tuple(boxes), rules, labels)


def ceiling(value: float) -> float:
    """The end of an axis: 1, 2, 4 or 8 times a power of ten, so that a quarter of it is a number to read."""
    if value <= 0:
        return float(RULES)
    power = 10.0 ** math.floor(math.log10(value))
    return next(float(factor * power) for factor in (1, 2, 4, 8, 10) if factor * power >= value)


def _at(number: float) -> float:
    return round(number, 2)
