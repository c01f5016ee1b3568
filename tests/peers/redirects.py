"""Upstreams that send the caller elsewhere, as Modal does with 303 when an answer takes long."""

import math

from tests.peers.answers import answer
from tests.peers.exchange import Behaviour, Exchange


def chain(hops: float, then: Behaviour, *, body: bytes = b"", absolute: bool = True) -> Behaviour:
    """303 to itself with `?hop=n`, so many times, then the answer; an `absolute` Location names scheme and host."""

    async def behave(exchange: Exchange) -> None:
        at = int(exchange.seen.target.partition(b"?hop=")[2] or 0)
        if at >= hops:
            return await then(exchange)
        origin = f"http://{exchange.seen.value('Host')}" if absolute else ""
        return await away(f"{origin}{exchange.seen.path}?hop={at + 1}", body=body)(exchange)

    return behave


def loop() -> Behaviour:
    """303 for ever, each to a new address."""
    return chain(math.inf, answer())


def away(location: str | None, status: int = 303, body: bytes = b"") -> Behaviour:
    """Any redirect to anywhere, or to nowhere: None leaves the Location out."""
    return answer(status, body, [("Location", location)] if location is not None else [])
