"""What the values of a setting look like, in the words of those who write config.toml."""

import json
from collections.abc import Iterable, Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

_PLAIN = {bool: "true or false", int: "whole number", float: "number", str: "text"}
_BOUNDS = (
    (Gt, "gt", "more than {}"),
    (Ge, "ge", "at least {}"),
    (Lt, "lt", "less than {}"),
    (Le, "le", "at most {}"),
    (MinLen, "min_length", "at least {}"),
    (MaxLen, "max_length", "at most {}"),
)


def kind(field: FieldInfo) -> str:
    """What may be written: the `title` of the type, or what the type itself tells, and its bounds."""
    return _kind(field.annotation, (field, *field.metadata))


def default(field: FieldInfo) -> str | None:
    """What holds where the setting is left out, as TOML: "" for nothing or a table, None where that cannot be."""
    if field.is_required():
        return None
    value = field.get_default(call_default_factory=True)
    if value is None or isinstance(value, BaseModel):
        return ""
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type] # made at run time
    written = adapter.dump_python(value, mode="json")
    is_whole = isinstance(written, float) and written.is_integer()
    return json.dumps(int(written) if is_whole else written, ensure_ascii=False)


def _kind(annotation: Any, marks: Iterable[Any] = ()) -> str:
    marks = list(marks)
    title = next((mark.title for mark in marks if isinstance(mark, FieldInfo) and mark.title), None)
    bounds = [part for mark in marks for part in (mark.metadata if isinstance(mark, FieldInfo) else [mark])]
    told = dict.fromkeys([title or _type(annotation), *_bounds(bounds, is_text=annotation is str)])
    return ", ".join(filter(None, told))


def _type(annotation: Any) -> str:  # noqa: PLR0911 (one line a kind of type)
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(parts[0], parts[1:])
    if origin in {Union, UnionType}:
        return " or ".join(_kind(part) for part in parts if part is not NoneType)
    if origin is Literal:
        return " or ".join(f"`{json.dumps(value)}`" for value in parts)
    if origin is tuple:
        return f"list ({_kind(parts[0])})"
    if origin is dict:
        return f"table ({_kind(parts[1])})"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    return _PLAIN.get(annotation, "text")


def _bounds(marks: Iterable[Any], *, is_text: bool) -> Iterator[str]:
    for mark in marks:
        for bound, name, words in _BOUNDS:
            if isinstance(mark, bound) and not (is_text and bound is MinLen):
                yield words.format(getattr(mark, name)) + (" characters" if is_text else "")
