"""Values from the database as people can read them, and the numbers of rows that stand in addresses."""

import json
import re
import unicodedata

_ROW = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters and symbols that show nothing
_UNITS = ((86_400.0, "days", 0), (3600.0, "h", 0), (60.0, "min", 0), (1.0, "s", 1), (0.001, "ms", 0))


def row_number(text: str) -> int | None:
    """The number of a row that stands in an address; None for anything else."""
    return int(text) if _ROW.fullmatch(text) is not None else None


def visible(text: str | None) -> str:
    """A text in which nothing hides: what cannot be seen, or would change the order of letters, becomes a mark."""
    marked = "".join(character if character.isprintable() else "\ufffd" for character in text or "")
    if all(unicodedata.category(character)[0] == "Z" or character in _BLANK for character in marked):
        return "(no visible name)"
    return marked


def changes(before: str | None, after: str | None) -> list[str]:
    """What an action changed, such as "role: user → admin", from the JSON of before and after."""
    old, new = (json.loads(text) if text else {} for text in (before, after))
    return [_change(name, old.get(name), new.get(name)) for name in {**old, **new}]


def _change(name: str, old: object, new: object) -> str:
    if old is None or new is None:
        return f"{name}: {_value(old if new is None else new)}"
    return f"{name}: {_value(old)} → {_value(new)}"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def duration(seconds: float | None) -> str:
    """A time span as short as can be read: "120 ms", "3.4 s", "5 min", "2 h", "3 days"."""
    if seconds is None:
        return ""
    for size_of_unit, unit, digits in _UNITS:
        if seconds >= 2 * size_of_unit or unit == "ms":
            return f"{seconds / size_of_unit:.{digits}f} {unit}"
    raise AssertionError("milliseconds hold everything")
