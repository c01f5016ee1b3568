"""The manual as a page: docs/configuration.md."""

import re
from collections.abc import Iterable, Iterator

from nijika.manual import Chapter, Entry, Sheet

BAR = r"\|"
HEAD = """# config.toml, setting by setting

This page is made from the program itself: `make docs` writes it anew, and `nijika describe` shows the same at a
terminal. [config.toml](../config.toml) has the usual settings in their places.

A value that is exactly `"$NAME"` is taken from the environment. Amounts and prices are text, so that they stay exact.
`nijika check` tells every mistake of a file at once. Below, `wake.path` is the setting `path` of the table `wake`, and
`rules[].limit` the setting `limit` of each of the `rules`.
"""


def markdown(chapters: Iterable[Chapter]) -> str:
    """The whole page."""
    return "\n".join([HEAD, *(line for chapter in chapters for line in _chapter(chapter))])


def _chapter(chapter: Chapter) -> Iterator[str]:
    yield f"## {chapter.title}\n"
    if chapter.words:
        yield f"{_linked(chapter.words)}\n"
    for sheet in chapter.sheets:
        yield from _sheet(sheet)


def _sheet(sheet: Sheet) -> Iterator[str]:
    yield f"### `{sheet.heading}`\n"
    yield f"{_linked(sheet.words)}\n"
    if sheet.entries:
        yield "| setting | value | left out | what |"
        yield "|---|---|---|---|"
        yield from map(_row, sheet.entries)
        yield ""


def _row(entry: Entry) -> str:
    default = "needed" if entry.default is None else f"`{entry.default}`" if entry.default else ""
    cells = (f"`{entry.path}`", entry.kind, default, _linked(entry.words))
    return f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |"


def _linked(words: str) -> str:
    """Names of other pages become links."""
    return re.sub(r"(?<![\w/])([a-z-]+\.md)\b", r"[\1](\1)", words)
