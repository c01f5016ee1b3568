"""The caller's body on its way to the worker: counted, timed, and kept only while it is small."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from aiohttp import HttpVersion11, StreamReader, hdrs, web
from aiohttp.web_protocol import RequestPayloadError

from nijika.errors import BadRequest, BodyTooLarge, CallerGone, Problem, RequestTimeout
from nijika.proxy.elsewhere import elsewhere
from nijika.proxy.patience import Turn

REPLAY_BYTES_MAX = 262_144
"""A body of up to this size is kept until the worker has answered, so that it can be sent again."""

AT_ONCE_BYTES_MAX = 32_768
"""A body of up to this size is sent together with its head, if it has come by then."""

INVITED: web.RequestKey[bool] = web.RequestKey("INVITED", bool)
"""Set once 100 Continue was said; before that, a caller who waits for it may send the body or not."""

UPLOAD_SECONDS = 3600.0
"""Waiting for the caller takes this long at the most, however steadily its body comes."""

PROGRESS_BYTES = 4096
"""This much, or the end, must arrive within each `body_seconds` of waiting for the caller."""


class Reader(Protocol):
    """Reads along while the body flows."""

    expected: bytes | None

    def update(self, piece: bytes) -> None:
        """The next piece."""

    def finish(self) -> None:
        """The body is complete; a Problem if it is not the expected one."""


class Inbound:
    """A request's body, read once from the caller and sent to the worker as often as it is replayable.

    With `keeps`, a small one is kept until `forget`. `size` is the announced length in bytes (None: chunked),
    `sent_bytes` what `chunks` has given, `exists` tells whether there is a body at all, `complete` whether all of it
    was read, `failure` why the caller's side broke. If the `reader` expects a certain body, no other one is ever sent
    whole: the newest piece waits until all of it was read.
    """

    def __init__(
        self, request: web.Request, *, bytes_max: int, seconds: float, keeps: bool, reader: Reader | None = None
    ) -> None:
        self.size = request.content_length
        self.exists = self.size is not None or request.can_read_body
        self.complete = not self.exists
        self.failure: Problem | None = None
        self.sent_bytes = 0
        if self.size is not None and self.size > bytes_max:
            raise BodyTooLarge(bytes_max)
        self._request = request
        self._bytes_max = bytes_max
        self._seconds = seconds
        self._patience = seconds
        self._unmarked = 0
        self._received = 0
        self._upload = UPLOAD_SECONDS
        self._kept: list[bytes] | None = [] if keeps else None
        self._invited = False
        self._waits = False
        self._turn: Turn | None = None
        self._reader = reader
        if self.complete and reader is not None:
            reader.finish()

    @property
    def is_here(self) -> bool:
        """Whether all of it has come, and is so little that it is sent in one go."""
        return self.size is not None and self.size <= AT_ONCE_BYTES_MAX and self._request.content.is_eof()

    @property
    def is_small(self) -> bool:
        """Whether the body, once sent, can surely be sent again."""
        return self.size is not None and self.size <= REPLAY_BYTES_MAX

    @property
    def is_replayable(self) -> bool:
        """Whether the body, as far as it was read, can be sent again."""
        return self._kept is not None and self.failure is None

    def forget(self) -> None:
        """It will not be sent again."""
        self._kept = None

    def time(self, turn: Turn) -> None:
        """From here on `turn` is told whether it is the caller who is waited for."""
        self._turn = turn
        if self._waits:
            turn.waits_for_caller(True)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body from its beginning.

        Raises `failure`: RequestTimeout, BodyTooLarge, BadRequest (broken framing), CallerGone, or what `reader` says.
        """
        self._wait_for_caller(False)
        if self._reader is None or self._reader.expected is None:
            async for chunk in self._chunks():
                yield chunk
            return
        newest = b""
        async for chunk in self._chunks():
            if newest:
                yield newest
            newest = chunk
        if newest:
            yield newest

    async def _chunks(self) -> AsyncIterator[bytes]:
        for chunk in list(self._kept or ()):
            self.sent_bytes += len(chunk)
            yield chunk
        while not self.complete:
            chunk = await self._next()
            self._wait_for_caller(False)
            if chunk:
                self.sent_bytes += len(chunk)
                yield chunk

    def _wait_for_caller(self, waits: bool) -> None:
        self._waits = waits
        if self._turn is not None:
            self._turn.waits_for_caller(waits)

    async def _next(self) -> bytes:
        try:
            await self._invite()
            chunk = await self._read()
            self._account_for(chunk)
        except Problem as problem:
            self.failure = problem
            raise
        return chunk

    async def _read(self) -> bytes:
        content = self._request.content
        try:
            chunk = content.read_nowait()
            if chunk or content.at_eof():
                return chunk
            return await self._wait()
        except RequestPayloadError as error:
            raise _broken() from error
        except TimeoutError:  # the clock's; aiohttp knows none here
            raise RequestTimeout from None
        except (ConnectionError, OSError, asyncio.IncompleteReadError) as error:
            raise CallerGone from error

    async def _wait(self) -> bytes:
        """What comes next; TimeoutError if it does not come in time."""
        clock = asyncio.get_running_loop().time
        began = clock()
        self._wait_for_caller(True)
        try:
            async with asyncio.timeout(min(self._patience, self._upload)):
                return await self._request.content.readany()
        finally:
            self._wait_for_caller(False)
            waited = clock() - began
            elsewhere(self._request).caller += waited
            self._patience -= waited
            self._upload -= waited

    def _account_for(self, chunk: bytes) -> None:
        if not chunk:
            if self._reader is not None:
                self._reader.finish()
            self.complete = True
            return
        if self._reader is not None:
            self._reader.update(chunk)
        self._received += len(chunk)
        if self._received > self._bytes_max:
            raise BodyTooLarge(self._bytes_max)
        self._unmarked += len(chunk)
        if self._unmarked >= PROGRESS_BYTES:
            self._unmarked = 0
            self._patience = self._seconds
        if self._kept is not None:
            self._kept.append(chunk)
            if self._received > REPLAY_BYTES_MAX:
                self._kept = None

    async def _invite(self) -> None:
        """Say 100 Continue, but only now that the body is really wanted."""
        if self._invited:
            return
        self._invited = True
        await say_continue(self._request)


@asynccontextmanager
async def watched(request: web.Request, *, bytes_max: int, seconds: float) -> AsyncIterator[None]:
    """While the block gathers the body by itself, that must make the same progress: else RequestTimeout out of it.

    BodyTooLarge and BadRequest stand for what aiohttp raises when it is read.
    """
    watch = None if request.content.is_eof() else asyncio.create_task(_watch(request.content, seconds))
    try:
        yield
    except web.HTTPRequestEntityTooLarge as error:
        raise BodyTooLarge(bytes_max) from error
    except RequestPayloadError as error:
        raise _broken() from error
    finally:
        if watch is not None:
            watch.cancel()


async def _watch(content: StreamReader, seconds: float) -> None:
    while not content.is_eof():
        before = content.total_bytes
        await asyncio.sleep(seconds)
        is_awaited = content._waiter is not None  # noqa: SLF001 (a body that nobody reads is not late)
        if is_awaited and content.total_bytes - before < PROGRESS_BYTES:
            content.set_exception(RequestTimeout())
            return


def _broken() -> BadRequest:
    return BadRequest("The body does not follow HTTP/1.1 (RFC 9112).")


async def say_continue(request: web.Request) -> None:
    """Invite a caller that waits for it (RFC 9110, 10.1.1) to send its body."""
    if hdrs.EXPECT not in request.headers or request.version < HttpVersion11 or request.transport is None:
        return
    request[INVITED] = True
    request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
