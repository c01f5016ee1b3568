"""The manual of config.toml: each table and setting with its words, read from the models that read the file."""

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from nijika.config import Config
from nijika.manual.values import default, kind
from nijika.middlewares import MIDDLEWARES
from nijika.module import Settings, Table
from nijika.plugins import PLUGINS


@dataclass(frozen=True)
class Entry:
    """A setting: where it stands in its table (`rules[].limit`), what its values look like, and what it is without one.

    `default` is TOML, "" for nothing, and None where a value is needed.
    """

    path: str
    kind: str
    default: str | None
    words: str


@dataclass(frozen=True)
class Sheet:
    """A table: how the file writes it, what it is for, and its settings."""

    name: str
    heading: str
    words: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Chapter:
    """Tables that belong together."""

    title: str
    words: str
    sheets: tuple[Sheet, ...]


def chapters() -> list[Chapter]:
    """The whole manual, in the order of the file."""
    chain, routes = Config.model_fields["middlewares"], Config.model_fields["routes"]
    return [
        Chapter("Tables", "", tuple(_tables())),
        Chapter("The chain: [[middlewares]]", _words(chain.description), tuple(_modules("middlewares", MIDDLEWARES))),
        Chapter("Routes: [[routes]]", _words(routes.description), tuple(_modules("routes", PLUGINS))),
    ]


def _tables() -> Iterator[Sheet]:
    for name, field in Config.model_fields.items():
        model = _model(field)
        if model is not None and name not in {"middlewares", "routes"}:
            written = f"{name}.NAME" if _is_named(field) else name
            yield _sheet(name, f"[{written}]", model)


def _modules(kind: str, table: Mapping[str, type[Settings]]) -> Iterator[Sheet]:
    for use, model in table.items():
        yield _sheet(use, f'[[{kind}]] use = "{use}"', model)


def _sheet(name: str, heading: str, model: type[BaseModel]) -> Sheet:
    # What a table is called stands in its heading.
    words = re.sub(r"^`\[+[^\]]+\]+`: (.)", lambda first: first[1].upper(), _words(inspect.getdoc(model)))
    return Sheet(name, heading, words, tuple(_entries(model)))


def _entries(model: type[BaseModel], prefix: str = "") -> Iterator[Entry]:
    """The settings of a table, and behind each those of the table that it may hold; of two alike the first one's."""
    told: set[type[BaseModel]] = set()
    for name, field in model.model_fields.items():
        if name == "use":
            continue
        yield Entry(prefix + name, kind(field), default(field), _words(field.description))
        inner = _model(field)
        if inner is not None and inner not in told:
            told.add(inner)
            yield from _entries(inner, f"{prefix}{name}{_step(field)}")


def _model(field: FieldInfo) -> type[BaseModel] | None:
    """The model of the table, or of each of the tables, that a setting may hold."""
    marked = (mark.model for mark in field.metadata if isinstance(mark, Table))
    return next(marked, None) or _model_within(field.annotation)


def _model_within(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_within(part))), None)


def _step(field: FieldInfo) -> str:
    if _is_named(field):
        return ".NAME."
    return "[]." if "tuple[" in str(field.annotation) else "."


def _is_named(field: FieldInfo) -> bool:
    return str(field.annotation).startswith("dict[")


def _words(text: str | None) -> str:
    """A docstring as paragraphs of one line each."""
    return "\n\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", text or ""))
