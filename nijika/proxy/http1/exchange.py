"""One request and its answer on a connection, which is used again only if both were whole and well-formed."""

import asyncio
from collections.abc import Callable

from multidict import CIMultiDict
from yarl import URL

from nijika.proxy.http1.connection import Connection
from nijika.proxy.http1.failures import Broken
from nijika.proxy.http1.framing import Frame, framed
from nijika.proxy.http1.head import Head, HeadReader
from nijika.proxy.http1.inflow import Inflow
from nijika.proxy.http1.request import Written
from nijika.proxy.http1.upload import Body, send


class Exchange:
    """What a worker answers: `status` and `headers`, which are there once `begin` has returned, and `content`.

    The connection is given to `free` as soon as it can be used again. Whoever begins has to `close`.
    """

    status: int
    headers: CIMultiDict[str]

    def __init__(self, connection: Connection, request: Written, free: Callable[[Connection], None]) -> None:
        self.content = Inflow(connection.hold)
        self._connection = connection
        self._request = request
        self._free = free
        self._reader = HeadReader()
        self._frame: Frame | None = None
        self._upload: asyncio.Task[None] | None = None
        self._is_sent = False
        self._is_over = False
        self._keeps_alive = False
        self._begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        connection.listener = self

    @property
    def url(self) -> URL:
        """What it is an answer of."""
        return URL(self._request.url, encoded=True)

    async def begin(self, body: Body | None) -> None:
        """Return when the head of the answer is there, whether the body was sent by then or not.

        Raises Broken, or ConnectionResetError.
        """
        if body is not None and body.is_here:
            await self._send(body, self._request.head)
        else:
            self._connection.write(self._request.head)
            self._is_sent = body is None
            if body is not None:
                self._upload = asyncio.create_task(self._send(body))
        await self._begun

    def close(self) -> None:
        """Nobody wants more of it: what is not over yet ends here, and the connection with it."""
        if self._upload is not None:
            self._upload.cancel()
        self._part(again=False)

    def received(self, data: bytes) -> None:
        """As Listener's."""
        try:
            self._read(data)
        except Broken as error:
            self._fail(error)

    def ended(self) -> None:
        """As Listener's."""
        if self._frame is not None and self._frame.ends_with_connection:
            self._end()
        else:
            self.lost()

    def lost(self) -> None:
        """As Listener's."""
        self._fail(Broken("it ended the connection before its answer was complete"))

    async def _send(self, body: Body, head: bytes = b"") -> None:
        try:
            await send(self._connection, body, self._request.length, head)
        except Exception as error:  # whatever the body raises
            failure = Broken(f"it could not be sent everything: {error or type(error).__name__}")
            failure.__cause__ = error
            self._fail(failure)
        else:
            self._is_sent = True
            if self._is_over:
                self._connection.close()

    def _read(self, data: bytes) -> None:
        while self._frame is None:
            found = self._reader.feed(data)
            if found is None:
                return
            head, data = found
            self._begin(head)
        if self._is_over:
            return  # the upload still goes on, and something comes behind the answer
        self.content.feed(self._frame.feed(data))
        if self._frame.is_over:
            self._keeps_alive = self._keeps_alive and not self._frame.has_excess
            self._end()

    def _begin(self, head: Head) -> None:
        if head.status < 200:  # noqa: PLR2004 (1xx: another head follows)
            return
        self._frame = framed(head, self._request.method)
        self._keeps_alive = head.keeps_alive and not self._frame.ends_with_connection
        self.status, self.headers = head.status, head.fields
        if not self._begun.done():
            self._begun.set_result(None)

    def _end(self) -> None:
        """The answer is complete. If the request is not, what the worker makes of its rest is anybody's guess."""
        self._is_over = True
        self.content.end()
        if self._is_sent:
            self._part(again=self._keeps_alive)

    def _fail(self, failure: Broken) -> None:
        self._is_over = True
        self.content.end(failure)
        if not self._begun.done():
            self._begun.set_exception(failure)
        self._part(again=False)

    def _part(self, *, again: bool) -> None:
        if self._connection.listener is not self:
            return
        self._connection.listener = None
        if again:
            self._free(self._connection)
        else:
            self._connection.abort()
