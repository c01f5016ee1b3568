"""What plugs into nijika: a table of config.toml is an object; its fields are settings, its methods behaviour."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import ClassVar, NamedTuple

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from nijika.about import About, Parameter
from nijika.errors import Problem
from nijika.route import FREE, Handler, Match, Price, Route

__all__ = [
    "FREE",
    "About",
    "Handler",
    "Match",
    "Middleware",
    "Module",
    "Parameter",
    "Plugin",
    "Price",
    "Route",
    "Settings",
    "Table",
]


class Settings(BaseModel):
    """A table of config.toml: typed, frozen, and without room for unknown fields.

    The string below a field is what operators read of it (docs/configuration.md); `title` of a Field says in their
    words what its values look like, where Python's type does not.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Table(NamedTuple):
    """Marks a field that is read from a table of `model`, for hints about its settings."""

    model: type[BaseModel]


class Module(Settings):
    """A table with `use`: the name of the class that reads it."""

    use: str = ""
    """The name of the class: one that comes with nijika, or `package.module:Class` of your own."""

    @asynccontextmanager
    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:  # noqa: ARG002 (for those who need it)
        """Open before the first request what the module needs, close it after the last."""
        yield


class Middleware(Module):
    """One link of the chain. `after` names the links that must stand before it, if they are in the chain at all."""

    after: ClassVar[tuple[str, ...]] = ()

    def prerequisites(self) -> tuple[str, ...]:
        """The links that must stand before this one."""
        return ()

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer, by asking `handler` or instead of it; raise a Problem to refuse."""
        raise NotImplementedError

    def refuses(self, route: Route) -> tuple[type[Problem], ...]:  # noqa: ARG002 (for those who refuse)
        """The problems that this link may raise on a route, for the reference."""
        return ()

    def adds(self, route: Route) -> tuple[str, ...]:  # noqa: ARG002 (for those who add)
        """The fields that this link puts on each answer that comes from behind it on a route, for the reference."""
        return ()

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add fields to a response whose head is about to be sent, whoever made it."""


class Plugin(Module):
    """Makes routes."""

    def prerequisites(self) -> tuple[str, ...]:
        """The links that must be in the chain."""
        return ()

    def routes(self) -> Iterable[Route]:
        """The routes that this table asks for."""
        raise NotImplementedError
