"""Long lists, a page at a time: the next page begins behind the last row of this one, so that none is missed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode

T = TypeVar("T")

ROWS = 50


@dataclass(frozen=True)
class Page(Generic[T]):
    """The rows to show, and the links to the first and to the next page ("" where there is none)."""

    rows: Sequence[T]
    first: str
    next: str


def paged(rows: Sequence[T], path: str, query: Mapping[str, str], *, cursor: str, limit: int = ROWS) -> Page[T]:
    """A page of `rows`, of which one more than `limit` was asked for; `query` is what the links carry on.

    `cursor` names the member of a row that the next page begins behind, and is called `before` in the links.
    """
    kept = {name: text for name, text in query.items() if text and name != "before"}
    first = f"{path}?{urlencode(kept)}" if kept else path
    shown = rows[:limit]
    last = shown[-1][cursor] if len(rows) > limit else None  # type: ignore[index] # rows of a table
    following = "" if last is None else f"{path}?{urlencode({**kept, 'before': str(last)})}"
    return Page(shown, first if query.get("before") else "", following)
