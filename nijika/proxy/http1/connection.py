"""One connection to a worker: bytes in and out, as fast as both sides take them."""

import asyncio
import select
from typing import Protocol, cast

READ_ROUNDS = 2
"""Of the loop: in the first one asyncio's finds out that there is something to read, and reads it behind its tasks."""


class Listener(Protocol):
    """Who talks on a connection at the moment."""

    def received(self, data: bytes) -> None:
        """The next bytes."""

    def ended(self) -> None:
        """The worker has said that there will be no more."""

    def lost(self) -> None:
        """There will be no more, whoever has ended them."""


class Connection(asyncio.Protocol):
    """Bytes go to the `listener`; what comes while there is none was asked for by nobody, and ends the connection.

    It is in `among` for as long as it is open.
    """

    def __init__(self, among: "set[Connection]") -> None:
        self.listener: Listener | None = None
        self._among = among
        self._gate: asyncio.Future[None] | None = None
        self._arrivals = select.poll()

    @property
    def is_fit(self) -> bool:
        """Whether a request may be sent: it is open, and nothing has come that nobody asked for, nor an end.

        The socket is looked at, too: a loop that was busy elsewhere has not read everything yet.
        """
        return not self._transport.is_closing() and not self._arrivals.poll(0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It begins."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not say that it is one
        self._arrivals.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._among.add(self)

    def data_received(self, data: bytes) -> None:
        """Some of an answer, or of something else."""
        if self.listener is None:
            self.abort()
        else:
            self.listener.received(data)

    def eof_received(self) -> None:
        """The worker says no more, over TLS in so many words; the loop closes the connection then."""
        if self.listener is not None:
            self.listener.ended()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        """Nobody needs to wait any more."""
        self._open_gate()
        if self.listener is not None:
            self.listener.lost()
        self._among.discard(self)

    def pause_writing(self) -> None:
        """The worker does not read as fast as we write."""
        self._gate = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._open_gate()

    def write(self, data: bytes) -> None:
        """Send it soon; ConnectionResetError if that cannot be."""
        if self._transport.is_closing():
            raise ConnectionResetError
        self._transport.write(data)

    async def writable(self) -> None:
        """Return when more may be written. One at a time.

        What has come is read before: a write to somebody who answered and hung up fails, and the answer with it.
        """
        if self._gate is not None:
            await self._gate
        for _ in range(READ_ROUNDS):
            if self.is_fit:
                return
            await asyncio.sleep(0)

    def hold(self, is_held: bool) -> None:
        """Read no more from here on, or go on reading."""
        if is_held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def close(self) -> None:
        """Send what is to be sent, and close."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once; what was not sent yet is dropped."""
        self._transport.abort()

    def _open_gate(self) -> None:
        gate, self._gate = self._gate, None
        if gate is not None and not gate.done():
            gate.set_result(None)
