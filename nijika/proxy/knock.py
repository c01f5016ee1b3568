"""Ask a worker how it is, beside the calls: a GET that is good when its answer is 2xx."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import aiohttp

from nijika.proxy.place import UNAUTHORIZED, Place


class Knock(NamedTuple):
    """How a knock ended: the `status` of the answer, 0 if none came, and what is wrong with it in words, "" if fine."""

    status: int
    failure: str


Ask = Callable[[Place, str], Awaitable[Knock]]
"""Knocks at a path there."""


async def knock(session: aiohttp.ClientSession, place: Place, path: str) -> Knock:
    """GET `path` there; whoever asks bounds the time."""
    try:
        async with session.get(place.url(path), allow_redirects=False) as answer:
            status = answer.status
    except Exception as error:  # whatever it says instead of an answer: those who knock go on
        return Knock(0, str(error) or type(error).__name__)
    if 200 <= status < 300:  # noqa: PLR2004 (2xx)
        return Knock(status, "")
    hint = ": see its headers in config.toml" if status in UNAUTHORIZED else ""
    return Knock(status, f"answers {status} to {path}{hint}")
