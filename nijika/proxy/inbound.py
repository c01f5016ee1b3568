"""The caller's body on its way to the worker: counted, timed, and kept only while it is small."""

import asyncio
from collections.abc import AsyncIterator, Callable

from aiohttp import hdrs, web
from aiohttp.web_protocol import RequestPayloadError

from nijika.errors import BadRequest, BodyTooLarge, CallerGone, Problem, RequestTimeout

REPLAY_BYTES_MAX = 262_144
"""A body of up to this size is kept until the worker has answered, so that it can be sent again."""

PROGRESS_BYTES = 4096
"""This much, or the end, must arrive within each `body_seconds` of waiting for the caller."""


class Inbound:
    """A request's body, read once from the caller and sent to the worker as often as it is replayable.

    `size` is the announced length in bytes (None: chunked), `exists` tells whether there is a body at all,
    `complete` whether all of it was read, `failure` why the caller's side broke.
    """

    def __init__(self, request: web.Request, *, bytes_max: int, seconds: float) -> None:
        self.size = request.content_length
        self.exists = self.size is not None or request.can_read_body
        self.complete = not self.exists
        self.failure: Problem | None = None
        if self.size is not None and self.size > bytes_max:
            raise BodyTooLarge(bytes_max)
        self._request = request
        self._bytes_max = bytes_max
        self._seconds = seconds
        self._patience = seconds
        self._unmarked = 0
        self._received = 0
        self._kept: list[bytes] | None = []
        self._invited = False

    @property
    def is_small(self) -> bool:
        """Whether the body, once sent, can surely be sent again."""
        return self.size is not None and self.size <= REPLAY_BYTES_MAX

    @property
    def is_replayable(self) -> bool:
        """Whether the body, as far as it was read, can be sent again."""
        return self._kept is not None and self.failure is None

    async def chunks(self, waits_for_caller: Callable[[bool], None]) -> AsyncIterator[bytes]:
        """The body from its beginning; `waits_for_caller` is told whose turn it is.

        Raises `failure`: RequestTimeout, BodyTooLarge, BadRequest (broken framing) or CallerGone.
        """
        waits_for_caller(False)
        for chunk in list(self._kept or ()):
            yield chunk
        while not self.complete:
            waits_for_caller(True)
            chunk = await self._next()
            waits_for_caller(False)
            if chunk:
                yield chunk

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
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(self._patience):
                return await self._request.content.readany()
        except TimeoutError:
            raise RequestTimeout from None
        except RequestPayloadError as error:
            raise BadRequest("The body does not follow HTTP/1.1 (RFC 9112).") from error
        except (ConnectionError, OSError, asyncio.IncompleteReadError) as error:
            raise CallerGone from error
        finally:
            self._patience -= clock() - began

    def _account_for(self, chunk: bytes) -> None:
        if not chunk:
            self.complete = True
            return
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


async def say_continue(request: web.Request) -> None:
    """Invite a caller that waits for it (RFC 9110, 10.1.1) to send its body."""
    if hdrs.EXPECT not in request.headers or request.transport is None:
        return
    request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
