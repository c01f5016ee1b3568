"""A worker's answer on its way: the head is there, the body is waited for with patience."""

import logging
from typing import Protocol

from multidict import MultiMapping
from yarl import URL

from nijika.errors import UpstreamFailed
from nijika.proxy.body import Body
from nijika.proxy.http1.exchange import Exchange
from nijika.proxy.http1.failures import Broken
from nijika.proxy.patience import Patience

log = logging.getLogger("nijika.upstream")


class Content(Protocol):
    """The body of an answer."""

    @property
    def has_piece(self) -> bool:
        """Whether the next piece surely comes without waiting."""

    async def readany(self) -> bytes:
        """The next piece; none at the end."""


class Answer(Protocol):
    """What a worker has answered, or what is passed on in its place."""

    @property
    def status(self) -> int:
        """Of its head."""

    @property
    def headers(self) -> MultiMapping[str]:
        """All fields, the worker's private ones, too."""

    @property
    def content(self) -> Content:
        """Still to come."""

    @property
    def url(self) -> URL:
        """Where it comes from, for the log."""


class Awaited:
    """An Answer whose worker may be silent for `idle_seconds`, and for as long as `patience` has left.

    `body` is what the worker was sent: while that still flows, it is the caller who may be waited for. `received_bytes`
    of the answer's own are there so far.
    """

    def __init__(self, answer: Exchange, body: Body, patience: Patience, idle_seconds: float) -> None:
        self.status = answer.status
        self.headers: MultiMapping[str] = answer.headers
        self._answer = answer
        self.content: Content = self
        self.received_bytes = 0
        self._body = body
        self._patience = patience
        self._idle_seconds = idle_seconds
        self._unread = b""

    @property
    def url(self) -> URL:
        """Where it comes from, for the log."""
        return self._answer.url

    @property
    def has_piece(self) -> bool:
        """Whether the next piece is here."""
        return bool(self._unread) or self._answer.content.has_piece

    async def readany(self) -> bytes:
        """The next piece; none at the end. Raises UpstreamFailed, UpstreamTimeout, or what broke the caller's body."""
        if self._unread:
            piece, self._unread = self._unread, b""
            return piece
        try:
            piece = await self._next()
        except Broken as error:
            if self._body.failure is None:
                log.warning("%s: the answer broke off: %s", self.url.origin(), error or type(error).__name__)
            raise self._body.failure or UpstreamFailed() from error
        self.received_bytes += len(piece)
        return piece

    async def _next(self) -> bytes:
        content = self._answer.content
        if content.is_ready:
            return content.take()
        async with self._patience.limit(self._idle_seconds) as turn:
            self._body.time(turn)
            return await content.readany()

    async def begins_with(self, mark: bytes) -> bool:
        """Whether the body does; nothing of it is lost. Raises as `readany` does."""
        beginning = b""
        while len(beginning) < len(mark) and mark.startswith(beginning) and (piece := await self.readany()):
            beginning += piece
        self._unread = beginning
        return beginning.startswith(mark)
