"""A caller's connection, and the limits on how slowly it may talk and listen; aiohttp has none of these."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler, RequestPayloadError, _ErrInfo

from nijika import access, request_id
from nijika.delivery import Delivery
from nijika.errors import BadRequest, CallerGone, Problem, RequestTimeout
from nijika.ledger import CALLER_GONE
from nijika.logs import Malformed
from nijika.metrics import requests
from nijika.middlewares.problems import render
from nijika.proxy.queue import waits
from nijika.reading import Reading
from nijika.state import BILL, DELIVERED, MATCH, TASK

_STOPPED = 503, "gateway-stopped"


@dataclass(frozen=True)
class Patience:
    """Seconds for a whole request head, an idle connection, and unread output, before a connection is cut."""

    head: float
    idle: float
    write: float
    drain: float


class Connection(RequestHandler):
    """A caller's connection: a head that does not end, and output that nobody reads, end it."""

    __slots__ = ("_delivery", "_head_timer", "_is_malformed", "_left", "_malformed", "_patience", "_reading")

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        settings: dict[str, object],
        patience: Patience,
        malformed: Malformed,
    ) -> None:
        super().__init__(server, loop=loop, **settings)  # type: ignore[arg-type] # aiohttp's own, as they are
        self._patience = patience
        self._malformed = malformed
        self._is_malformed = False
        self._left = asyncio.Event()
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From here on there are output, and somebody who should read it."""
        self._reading = Reading(cast("asyncio.Transport", transport), self._patience.write)  # uvloop's does not say so
        self._delivery = Delivery(self._reading.unread_bytes)
        super().connection_made(transport)
        requests.CONNECTIONS.inc()

    def connection_lost(self, exc: BaseException | None) -> None:
        """No timer outlives its connection, and no work that nobody pays for."""
        self._left.set()
        requests.CONNECTIONS.dec()
        self._delivery.end(exc)
        self._stop_head_timer()
        self._reading.end()
        request, task = self._current_request, self._task_handler
        super().connection_lost(exc)
        # What is paid for is finished for the account's sake; anything else would be work for nobody.
        if request is not None and task is not None and not _is_finished(request):
            task.cancel(CALLER_GONE)

    async def _handle_request(
        self,
        request: web.BaseRequest,
        start_time: float | None,
        request_handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> tuple[web.StreamResponse, bool]:
        """Who hangs up, or is cut off because the gateway stops, has made a request all the same."""
        try:
            return await super()._handle_request(request, start_time, request_handler)
        except asyncio.CancelledError as error:
            has_left = CALLER_GONE in error.args
            access.unanswered(request, *((CallerGone.status, CallerGone.code) if has_left else _STOPPED))
            raise

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Whoever waits for the caller to have the whole answer is told; until then nothing else happens here.

        The connection is not closed before, and a request behind this one does not find it undelivered.
        """
        response, has_left = await super().finish_response(request, resp, start_time)
        if DELIVERED in request:
            request[DELIVERED](not has_left and await self._delivery.arrives(self._patience.write))
        if self._is_malformed and not has_left:
            await self._linger()
        return response, has_left

    def data_received(self, data: bytes) -> None:
        """From its first byte, a request head has `head` seconds; what comes behind no HTTP is thrown away."""
        if self._is_malformed:
            return
        super().data_received(data)
        self._notice_broken_body()
        waiter = self._waiter
        is_first = self._request_count == 0  # it may be here before aiohttp waits for it: uvloop reads at once
        if not is_first and (waiter is None or waiter.done()):
            self._stop_head_timer()
        elif self._head_timer is None and data.strip(b"\r\n"):
            self.keep_alive(True)  # from here on it is the head's time that counts, not the idle connection's
            self._head_timer = self._loop.call_later(self._patience.head, self._head_is_late)

    def _notice_broken_body(self) -> None:
        """aiohttp keeps a parse error for the next request, and lets whoever reads this body wait for ever."""
        request = self._current_request
        if request is None or not self._messages or request.content.is_eof():
            return
        error = self._messages[-1][0]
        if isinstance(error, _ErrInfo):
            request.content.set_exception(RequestPayloadError(error.message))

    def pause_writing(self) -> None:
        """The caller does not take all at once: from here on its reading is watched."""
        super().pause_writing()
        # After the handler's end there is no current request, and all was written.
        self._reading.begin(None if self._current_request is None else self._current_request.writer)

    def resume_writing(self) -> None:
        """All of it was read."""
        self._reading.end()
        super().resume_writing()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 (aiohttp's signature)
    ) -> web.StreamResponse:
        """What is no HTTP is answered like every other problem, and is no traceback in the log."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return super().handle_error(request, status, exc, None)
        self._malformed.note(request.remote, exc)
        self._is_malformed = True
        return _plain(BadRequest())

    async def _linger(self) -> None:
        """Who still sends shall see the answer: a close resets the connection then, which may wipe the answer out.

        A proxy in front would take that for a failure of this gateway, and leave it out for a while.
        """
        if self.transport is None:
            return
        assert isinstance(self.transport, asyncio.Transport)
        self.transport.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._lingering_time):
                await self._left.wait()

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.transport is not None:
            answer = _wire(RequestTimeout())
            self.transport.write(answer)
            requests.refused(RequestTimeout.status, RequestTimeout.code, len(answer))
        self.force_close()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _is_finished(request: web.BaseRequest) -> bool:
    """Whether its work, once begun, goes on without its caller; who has some of the answer pays for all of it."""
    if BILL not in request or waits(request[TASK]):
        return False
    return request[MATCH].route.on_disconnect == "finish" or request.writer.output_size > 0


def _plain(problem: Problem) -> web.Response:
    """An answer outside of the chain."""
    id = request_id.make()  # noqa: A001 (the field's name)
    response = render(problem, id)
    response.headers.update({"X-Request-ID": str(id), "Server": "nijika"})
    return response


def _wire(problem: Problem) -> bytes:
    """An answer to somebody who never finished asking."""
    response = _plain(problem)
    body = response.body
    assert isinstance(body, bytes)
    fields = {**response.headers, "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"HTTP/1.1 {response.status} {response.reason}", *(f"{name}: {text}" for name, text in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
