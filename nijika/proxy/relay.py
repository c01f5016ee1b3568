"""Pass a worker's answer on to the caller, piece by piece; a priced one is settled before its newest piece goes out."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import aiohttp
from aiohttp import web

from nijika.errors import CallerGone, UpstreamFailed
from nijika.proxy.headers import towards_caller
from nijika.proxy.inbound import Inbound
from nijika.proxy.patience import Patience


class Bill(Protocol):
    """What is owed for an answer; the proxy only knows when to say which."""

    def foresee(self, status: int, fields: Mapping[str, str]) -> None:
        """The head of the worker's answer is there."""

    async def settle(self) -> None:
        """The worker's answer is complete, and the caller does not have all of it yet."""


async def relay(
    request: web.Request,
    answer: aiohttp.ClientResponse,
    *,
    body: Inbound,
    patience: Patience,
    idle_seconds: float,
    bill: Bill | None,
    timing: str,
) -> web.StreamResponse:
    """The answer, sent whole.

    With a `bill` the newest piece waits until that is settled, and a caller who hangs up does not stop the worker:
    the work is done and will be charged. Without it each piece goes out at once, and a hang-up ends the exchange.
    Raises UpstreamFailed, UpstreamTimeout or CallerGone; the caller has then seen no complete body.
    """
    if bill is not None:
        bill.foresee(answer.status, answer.headers)
    response = web.StreamResponse(status=answer.status, headers=towards_caller(answer.headers))
    response.headers.add("Server-Timing", timing)
    caller = _Caller(request, response)
    if bill is None:
        await caller.write(b"")
    newest = b""
    async for piece in _pieces(answer, body, patience, idle_seconds):
        if bill is None:
            await caller.write(piece)
            continue
        if newest and not caller.is_gone:
            await caller.write(newest, may_leave=True)
        newest = piece
    if bill is not None:
        await bill.settle()
        if caller.is_gone:
            raise CallerGone
    await caller.write(newest)
    return response


async def _pieces(
    answer: aiohttp.ClientResponse, body: Inbound, patience: Patience, idle_seconds: float
) -> AsyncIterator[bytes]:
    while True:
        try:
            async with patience.limit(idle_seconds):
                piece = await answer.content.readany()
        except (aiohttp.ClientError, ConnectionError, asyncio.IncompleteReadError) as error:
            raise body.failure or UpstreamFailed() from error
        if not piece:
            return
        yield piece


class _Caller:
    """The writing side towards the caller: begins with the head, and remembers that nobody is there any more."""

    def __init__(self, request: web.Request, response: web.StreamResponse) -> None:
        self._request = request
        self._response = response
        self.is_gone = False

    async def write(self, piece: bytes, *, may_leave: bool = False) -> None:
        """Send the head if need be, and `piece`. CallerGone if nobody reads, unless `may_leave`."""
        try:
            await self._response.prepare(self._request)
            if piece:
                await self._response.write(piece)
        except ConnectionError as error:
            self.is_gone = True
            if not may_leave:
                raise CallerGone from error
