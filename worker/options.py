"""How options are read from text; each kind tells in words what it takes."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import ImageColor

from worker.problems import BadOption, UnknownOption

TEXT_CHARACTERS_MAX = 80


@dataclass(frozen=True)
class Option:
    """One option: `takes` completes "The option … takes …", `read` raises ValueError for everything else."""

    takes: str
    read: Callable[[str], Any]
    default: Any = None


Known = Mapping[str, Option]


@dataclass
class Chosen:
    """The options of one request: what is `known`, and what was `given`."""

    known: Known
    given: dict[str, Any] = field(default_factory=dict)

    def check(self, name: str) -> None:
        """Raise UnknownOption unless there is an option of this name."""
        if name not in self.known:
            raise UnknownOption(name, self.known)

    def add(self, name: str, value: object) -> None:
        """Take the value, text or what JSON has beside it, of one option. Raises UnknownOption, BadOption."""
        self.check(name)
        option = self.known[name]
        if name in self.given:
            raise given_twice(name)
        try:
            self.given[name] = option.read(_text(value))
        except ValueError as error:
            raise BadOption(f'The option "{name}" takes {option.takes}.') from error

    def values(self) -> dict[str, Any]:
        """Every known option: what was given, else the usual."""
        return {name: option.default for name, option in self.known.items()} | self.given


def given_twice(name: str) -> BadOption:
    """What to raise for an option that comes a second time."""
    return BadOption(f'The option "{name[:TEXT_CHARACTERS_MAX]}" is given twice. Leave one of them out.')


def choice(*values: str, has_usual: bool = True) -> Option:
    """One of these, the first unless told otherwise."""

    def read(text: str) -> str:
        if text not in values:
            raise ValueError(text)
        return text

    return Option(f"one of: {', '.join(values)}", read, values[0] if has_usual else None)


def switch(*, default: bool) -> Option:
    """Yes or no."""
    words = {"true": True, "1": True, "false": False, "0": False}

    def read(text: str) -> bool:
        if text.lower() not in words:
            raise ValueError(text)
        return words[text.lower()]

    return Option("true or false", read, default)


def whole(least: int, most: int, default: int | None = None) -> Option:
    """A whole number."""

    def read(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not least <= int(text) <= most:
            raise ValueError(text)
        return int(text)

    return Option(f"a whole number from {least} to {most}", read, default)


def number(least: float, most: float, default: float | None = None) -> Option:
    """A decimal number."""

    def read(text: str) -> float:
        if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII) or not least <= float(text) <= most:
            raise ValueError(text)
        return float(text)

    return Option(f"a number from {least:g} to {most:g}", read, default)


def name() -> Option:
    """A short text, to be looked up later."""
    return Option("a name", _short)


def address() -> Option:
    """A web address, to be fetched later."""

    def read(text: str) -> str:
        if not text.startswith(("http://", "https://")):
            raise ValueError(text)
        return text

    return Option("a picture, as a file of the form or as an http or https address", read)


def colour() -> Option:
    """A colour: (red, green, blue, opacity), each 0..255. Hexadecimal as in CSS Color 4, 5.2, or a name of its 6.1."""
    return Option('3, 4, 6 or 8 hexadecimal digits or a CSS colour name, such as "fff", "81d4fa77" or "green"', _colour)


def _colour(text: str) -> tuple[int, ...]:
    named = ImageColor.colormap.get(text.lower(), text)
    digits = (named if isinstance(named, str) else text).removeprefix("#")
    if not re.fullmatch(r"[0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8}", digits):
        raise ValueError(text)
    if len(digits) <= 4:  # noqa: PLR2004 - one digit for each part
        digits = "".join(digit * 2 for digit in digits)
    red, green, blue, opacity = bytes.fromhex(digits.ljust(8, "f"))
    return red, green, blue, opacity


def _text(value: object) -> str:
    # JSON has numbers and truth values of its own.
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError(value)


def _short(text: str) -> str:
    if not 0 < len(text) <= TEXT_CHARACTERS_MAX:
        raise ValueError(text)
    return text
