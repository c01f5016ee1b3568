"""What programs are told of a route, beyond what the route itself shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from nijika.errors import Problem


@dataclass(frozen=True)
class Parameter:
    """A `{name}` of the path, or else a parameter of the query; `schema` is the JSON schema of its values."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class About:
    """What the reference says of a route; without `summary` that is the docstring of its handler.

    `asks` is the JSON of the request's body (None: what the route's content types say), `answer` that of a success
    (None: any bytes), which comes with one of `statuses`; `problems` are those that the handler itself raises.
    """

    summary: str = ""
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    asks: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    statuses: tuple[int, ...] = (200,)
    problems: tuple[type[Problem], ...] = ()


NOTHING_SAID = About()
