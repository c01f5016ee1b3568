"""Figures as people read them, and as programs do."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Table:
    """A title, a sentence, and rows under columns; `figures` is what they were made from, for JSON."""

    title: str
    note: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    figures: list[dict[str, object]] = field(default_factory=list)

    def add(self, *cells: str, **figures: object) -> None:
        """One more row."""
        self.rows.append(cells)
        self.figures.append(figures)

    def __str__(self) -> str:
        """Markdown."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        return "\n".join([f"### {self.title}", "", self.note, "", *(f"| {' | '.join(line)} |" for line in lines), ""])


def median(values: Sequence[float]) -> float:
    """Of all rounds."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """By how much the rounds differ: highest less lowest, in percent of the median; nothing of a single one."""
    middle = median(values)
    return f"{(max(values) - min(values)) / middle:.0%}" if len(values) > 1 and middle else "-"


def ranged(values: Sequence[float], form: str) -> str:
    """The median, and in brackets lowest and highest where there are several."""
    text = format(median(values), form)
    return text if len(values) == 1 else f"{text} ({min(values):{form}}-{max(values):{form}})"
