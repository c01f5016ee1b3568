"""Pass a worker's answer on to the caller, piece by piece; a priced one is settled before its newest piece goes out."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from aiohttp import web

from nijika.errors import CallerGone
from nijika.proxy.answer import Answer
from nijika.proxy.body import Body
from nijika.proxy.connection import cut, has_left
from nijika.proxy.elsewhere import elsewhere
from nijika.proxy.headers import towards_caller

DOWNLOAD_SECONDS = 3600.0
"""Waiting for the caller of a priced answer to read takes this long at the most, however steadily it reads."""


class Bill(Protocol):
    """What is owed for an answer; the proxy only knows when to say which."""

    def foresee(self, status: int, fields: Mapping[str, str]) -> None:
        """The head of the worker's answer is there."""

    async def settle(self) -> None:
        """The worker's answer is complete, and the caller does not have all of it yet."""


async def relay(
    request: web.Request,
    answer: Answer,
    *,
    body: Body,
    bill: Bill | None,
    timing: str,
) -> web.StreamResponse:
    """The answer, sent whole.

    With a `bill` the newest piece waits until that is settled, and a caller who hangs up does not stop the worker:
    the work is done and will be charged. Without it each piece goes out at once, and a hang-up ends the exchange.
    Raises CallerGone, and what the answer's content does; the caller has then seen no complete body.
    """
    if bill is not None:
        bill.foresee(answer.status, answer.headers)
    response = _Response(status=answer.status, headers=towards_caller(answer.headers))
    response.headers.add("Server-Timing", timing)
    caller = _Caller(request, response, None if bill is None else DOWNLOAD_SECONDS)
    pieces = _pieces(answer)
    if bill is None:
        if not answer.content.has_piece:
            await caller.write(b"")  # the head does not wait for a worker that thinks
        async for piece in pieces:
            await caller.write(piece)
    else:
        await _settled(pieces, caller, bill, body)
    return response


class _Response(web.StreamResponse):
    """Its head goes out together with the first piece that is written, be it empty, as that of aiohttp's Response."""

    _send_headers_immediately = False


async def _settled(pieces: AsyncIterator[bytes], caller: "_Caller", bill: Bill, body: Body) -> None:
    """Send the pieces, the newest one only when the bill is settled."""
    newest = b""
    async for piece in pieces:
        if newest and not caller.is_gone:
            await caller.write(newest, may_leave=True)
        newest = piece
    if not body.complete and (body.failure is not None or caller.has_left):
        # The worker may be content with half of an upload; who never sent all of it does not pay for that.
        raise body.failure or CallerGone()
    await bill.settle()
    if caller.has_left:
        raise CallerGone
    await caller.write(newest)


async def _pieces(answer: Answer) -> AsyncIterator[bytes]:
    while piece := await answer.content.readany():
        yield piece


class _Caller:
    """The writing side towards the caller: begins with the head, and remembers that nobody is there any more.

    Who takes longer than `seconds` in all to read is cut off.
    """

    def __init__(self, request: web.Request, response: web.StreamResponse, seconds: float | None) -> None:
        self._request = request
        self._response = response
        self._seconds = seconds
        self._elsewhere = elsewhere(request)
        self.is_gone = False

    @property
    def has_left(self) -> bool:
        """Whether the connection is closed by now, also where nothing was written yet."""
        return self.is_gone or has_left(self._request)

    async def write(self, piece: bytes, *, may_leave: bool = False) -> None:
        """Send the head if need be, and `piece`. CallerGone if nobody reads, unless `may_leave`."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            if self._seconds is None:
                await self._write(piece)
            else:
                async with asyncio.timeout(self._seconds):
                    await self._write(piece)
        except (ConnectionError, TimeoutError) as error:
            cut(self._request)
            self.is_gone = True
            if not may_leave:
                raise CallerGone from error
        finally:
            waited = clock() - began
            self._elsewhere.caller += waited
            if self._seconds is not None:
                self._seconds -= waited

    async def _write(self, piece: bytes) -> None:
        await self._response.prepare(self._request)
        await self._response.write(piece)
