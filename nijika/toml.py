"""Read a TOML file so that every mistake in it is told at once, with its path and what to do about it."""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from nijika.errors import ConfigError, Mistake
from nijika.module import Table

_VARIABLE = re.compile(r"\$([A-Z_][A-Z0-9_]*)")

Key = str | int


class Unset(str):
    """Stands where the file names a variable that the environment lacks; the text is the variable's name."""

    __slots__ = ()


def read(file: Path, environment: Mapping[str, str] = os.environ, text: str | None = None) -> dict[str, Any]:
    """The tables of the file, or of `text` that was read from it before; a value that is exactly "$NAME" comes from the
    environment, or is an Unset.
    """
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8") if text is None else text)
    except FileNotFoundError:
        raise ConfigError(
            str(file), [Mistake("file", "does not exist", "nijika init makes one; --config names another")]
        ) from None
    except OSError as error:
        raise ConfigError(str(file), [Mistake("file", f"cannot be read: {error.strerror}")]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(file), [Mistake("file", f"is not valid TOML: {error}")]) from None
    filled: dict[str, Any] = _filled(tables, environment)
    return filled


def unset(value: Any, *path: Key) -> Iterator[tuple[tuple[Key, ...], str]]:
    """Each Unset in the value: where it stands, and the variable's name."""
    if isinstance(value, Unset):
        yield path, str(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from unset(item, *path, key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from unset(item, *path, index)


def written(path: Iterable[Key]) -> str:
    """A path as people write it: `routes[1].price`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


def mistakes(error: ValidationError, model: type[BaseModel], *path: Key) -> Iterator[Mistake]:
    """What pydantic says of a table of `model` at `path`, in sentences for the operator."""
    errors = error.errors(include_url=False)
    for found in errors:
        if found["type"] == "too_short" and _has_mistakes_inside(found["loc"], errors):
            continue  # the list is only as short as its mistakes made it
        location = [
            key for key in found["loc"] if not (isinstance(key, str) and key.startswith(("function-", "tagged-")))
        ]
        here = written([*path, *location])
        if found["type"] == "extra_forbidden":
            known = fields(_model_at(model, location[:-1]) or model)
            yield Mistake(here, "is not a setting", did_you_mean(str(location[-1]), known))
        elif found["type"] == "missing":
            yield Mistake(here, "is missing")
        else:
            yield Mistake(here, _sentence(found["type"], found["msg"]))


def _has_mistakes_inside(place: tuple[Key, ...], errors: Iterable[ErrorDetails]) -> bool:
    return any(len(error["loc"]) > len(place) and error["loc"][: len(place)] == place for error in errors)


def _sentence(kind: str, message: str) -> str:
    """Pydantic's words, where it speaks of Python and not of TOML, put differently."""
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        return "is a table, written [name] or { … }"
    if kind in {"tuple_type", "list_type"}:
        return "is a list, written [ … ]"
    if kind == "too_short":
        return "needs at least one entry"
    text = message.removeprefix("Value error, ").removeprefix("Input ")
    return text[:1].lower() + text[1:]


def fields(model: type[BaseModel]) -> list[str]:
    """The settings that a table of `model` may have."""
    return list(model.model_fields)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint towards the nearest known name, or all of them."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known) or 'none'}"


def _filled(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, environment) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, environment) for item in value]
    match = _VARIABLE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    return environment.get(match[1]) or Unset(match[1])


def _model_at(model: type[BaseModel], path: Iterable[Key]) -> type[BaseModel] | None:
    """The model of a table inside of a table."""
    for key in path:
        if isinstance(key, int) or key not in model.model_fields:
            continue
        field = model.model_fields[key]
        inner = next(
            filter(
                None,
                map(
                    _inner_model,
                    (field.annotation, *(mark.model for mark in field.metadata if isinstance(mark, Table))),
                ),
            ),
            None,
        )
        if inner is None:
            return None
        model = inner
    return model


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _inner_model(part))), None)
