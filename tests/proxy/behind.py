"""What the tests of addresses, queues and fallbacks share: tables, calls, and a look at what the gateway knows."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from nijika.proxy.place import Place
from nijika.proxy.upstream import Upstream
from nijika.state import UPSTREAMS
from tests.gateway import Customer, Gateway
from tests.peers.patience import within

PATH = "/api/removebg"
WORKER = "/v1/cutout"
LONG = "rest_seconds = 3600\nrest_seconds_max = 3600"
SHORT = "rest_seconds = 0.05\nrest_seconds_max = 0.05"


class Answered(NamedTuple):
    status: int
    body: bytes
    retry_after: str | None


def table(name: str, *urls: str, settings: str = "") -> str:
    return f"[upstreams.{name}]\nurls = {list(urls)!r}\n{settings}\n"


async def free(gateway: Gateway, body: bytes = b"body", path: str = "/free/x") -> Answered:
    """A call that nobody pays for."""
    async with gateway.session.post(path, data=body) as answer:
        return Answered(answer.status, await answer.read(), answer.headers.get("Retry-After"))


async def paid(customer: Customer, body: bytes = b"picture") -> Answered:
    """A call for one credit."""
    async with customer.gateway.session.post(PATH, data=body, headers=customer.fields) as answer:
        return Answered(answer.status, await answer.read(), answer.headers.get("Retry-After"))


def worker(gateway: Gateway, name: str = "worker") -> Upstream:
    return gateway.app[UPSTREAMS][name]


def places(gateway: Gateway) -> list[Place]:
    return worker(gateway).places


async def until(happened: Callable[[], bool], what: str) -> None:
    """Looks again and again, but not for ever."""
    async with within(what):
        while not happened():
            await asyncio.sleep(0.005)
