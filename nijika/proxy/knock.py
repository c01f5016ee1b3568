"""Ask a worker how it is, beside the calls: a GET that is good when its answer is 2xx."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from nijika.proxy.http1.exchange import Exchange
from nijika.proxy.place import UNAUTHORIZED, Place


class Knock(NamedTuple):
    """How a knock ended: the `status` of the answer, 0 if none came, and what is wrong with it in words, "" if fine."""

    status: int
    failure: str


Ask = Callable[[Place, str], Awaitable[Knock]]
"""Knocks at a path there."""


async def knock(get: Callable[[str], Awaitable[Exchange]], path: str) -> Knock:
    """GET `path` there; whoever asks bounds the time."""
    try:
        answer = await get(path)
    except Exception as error:  # whatever it says instead of an answer: those who knock go on
        return Knock(0, str(error) or type(error).__name__)
    answer.close()
    if 200 <= answer.status < 300:  # noqa: PLR2004 (2xx)
        return Knock(answer.status, "")
    hint = ": see its headers in config.toml" if answer.status in UNAUTHORIZED else ""
    return Knock(answer.status, f"answers {answer.status} to {path}{hint}")
