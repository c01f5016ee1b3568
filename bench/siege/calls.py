"""The kinds of calls that a gateway sees in a day; each tells how it was answered: a status, or that it hung up."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

PICTURE = random.Random(6).randbytes(20_000)  # noqa: S311 (nothing secret)
LARGE = bytes(8_000_000)
PAGES = ("/dashboard", "/dashboard/usage", "/dashboard/transactions", "/dashboard/keys", "/", "/docs", "/openapi.json")
WRONG = "nj_live_" + "0" * 49
PATH = "/api/removebg"
LEFT = "left"


@dataclass(frozen=True)
class Caller:
    """Who calls: with a key, or with the cookie of a visitor."""

    session: aiohttp.ClientSession
    url: str
    key: str
    cookie: str


async def small(caller: Caller) -> str:
    """A picture, paid for."""
    return await _post(caller, PICTURE)


async def upload(caller: Caller) -> str:
    """A large one."""
    return await _post(caller, LARGE)


async def failure(caller: Caller) -> str:
    """The worker fails: nothing is paid."""
    return await _post(caller, PICTURE, query="?fail=1")


async def wrong(caller: Caller) -> str:
    """A key that is none."""
    return await _post(caller, PICTURE, key=WRONG)


async def download(caller: Caller) -> str:
    """Megabytes down."""
    return await _get(caller, "/free/large")


async def events(caller: Caller) -> str:
    """A stream of events."""
    return await _get(caller, "/free/events")


async def page(caller: Caller) -> str:
    """A page of somebody who is signed in."""
    return await _get(caller, random.choice(PAGES), Cookie=caller.cookie)  # noqa: S311 (as above)


async def hang_up_within_upload(caller: Caller) -> str:
    """Half of a body, and nobody any more."""
    return await _leave(caller, LARGE[: len(LARGE) // 2], len(LARGE), 0.05)


async def hang_up_within_work(caller: Caller) -> str:
    """All of a body, but nobody waits for the answer."""
    return await _leave(caller, PICTURE, len(PICTURE), 0.1, query="?seconds=0.5")


async def hang_up_within_download(caller: Caller) -> str:
    """Some of an answer is enough."""
    async with caller.session.get("/free/large") as answer:
        await answer.content.readany()
        answer.close()
    return LEFT


async def hang_up_within_events(caller: Caller) -> str:
    """One event is enough."""
    async with caller.session.get("/free/events") as answer:
        await answer.content.readany()
        answer.close()
    return LEFT


KINDS: dict[Callable[[Caller], Awaitable[str]], tuple[int, str]] = {
    small: (6, "200"),
    upload: (1, "200"),
    failure: (1, "502"),
    wrong: (1, "401"),
    download: (1, "200"),
    events: (4, "200"),
    page: (2, "200"),
    hang_up_within_upload: (1, LEFT),
    hang_up_within_work: (2, LEFT),
    hang_up_within_download: (1, LEFT),
    hang_up_within_events: (1, LEFT),
}
"""How many callers do it again and again, and how they are to be answered."""


async def _post(caller: Caller, body: bytes, *, key: str = "", query: str = "") -> str:
    async with caller.session.post(PATH + query, data=body, headers={"X-API-Key": key or caller.key}) as answer:
        await answer.read()
        return str(answer.status)


async def _get(caller: Caller, path: str, **fields: str) -> str:
    async with caller.session.get(path, headers=fields) as answer:
        async for _ in answer.content.iter_any():
            pass
        return str(answer.status)


async def _leave(caller: Caller, body: bytes, length: int, seconds: float, *, query: str = "") -> str:
    place = urlsplit(caller.url)
    _, writer = await asyncio.open_connection(place.hostname, place.port)
    fields = f"Host: {place.netloc}\r\nX-API-Key: {caller.key}\r\nContent-Length: {length}"
    writer.write(f"POST {PATH}{query} HTTP/1.1\r\n{fields}\r\n\r\n".encode() + body)
    await asyncio.sleep(seconds)
    writer.transport.abort()
    return LEFT
