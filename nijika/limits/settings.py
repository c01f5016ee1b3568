"""How config.toml writes a rate, and where limits are kept."""

import re
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

MEMORY = "memory"

_RATE = re.compile(r"([1-9][0-9]{0,8})/(s|m|h|d)", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class PerTime(NamedTuple):
    """So many `calls` in so many `seconds`."""

    calls: int
    seconds: int


def per_time(value: object) -> PerTime:
    """Read "5/s", "100/m", "1000/h" or "10000/d"."""
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('a rate is a number of calls by s, m, h or d, such as "5/s"')
    return PerTime(int(match[1]), _UNITS[match[2]])


PerTimeSetting = Annotated[
    PerTime, BeforeValidator(per_time), Field(title='rate such as `"5/s"`, by `s`, `m`, `h` or `d`')
]


def _store(text: str) -> str:
    """The address is not repeated in the sentence, since it may hold a password."""
    if text != MEMORY and not _is_redis(text):
        raise ValueError('a store is "memory" or the address of a Redis, such as "redis://:password@host:6379/0"')
    return text


def _is_redis(text: str) -> bool:
    try:
        url = urlsplit(text)
        has_place = bool(url.hostname) and url.port != 0
    except ValueError:
        return False
    is_plain = not url.query and not url.fragment and text.isprintable() and " " not in text
    return url.scheme in {"redis", "rediss"} and has_place and is_plain and bool(re.fullmatch(r"/?|/[0-9]+", url.path))


Store = Annotated[str, AfterValidator(_store), Field(title='`"memory"`, or the address of a Redis')]
