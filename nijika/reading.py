"""Whether a caller reads what it was sent: who does not, within some time, is cut off."""

import asyncio
import fcntl
import sys
import termios

from aiohttp.abc import AbstractStreamWriter

from nijika.proxy.connection import reset
from nijika.proxy.inbound import PROGRESS_BYTES


class Reading:
    """The output of one connection; a caller must read PROGRESS_BYTES of it in each `seconds`, or all that waits."""

    def __init__(self, transport: asyncio.Transport, seconds: float) -> None:
        # Any output that the kernel does not take counts as unread, so that the timer sees all of it.
        transport.set_write_buffer_limits(high=0)
        self._transport = transport
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._writer: AbstractStreamWriter | None = None
        self._confirmed = 0

    def begin(self, writer: AbstractStreamWriter | None) -> None:
        """Output waits from now on; `writer` is where more of it may come from."""
        self._writer = writer
        self._confirmed = self._confirmed_bytes()
        self._timer = self._loop.call_later(self._seconds, self._look)

    def end(self) -> None:
        """All of it was read, or the connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def unread_bytes(self) -> int:
        """What the caller has not confirmed yet: ours, and what the kernel keeps, where it tells."""
        ours = self._transport.get_write_buffer_size()
        sock = self._transport.get_extra_info("socket")
        try:
            kept = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
        except OSError:
            return ours
        return ours + int.from_bytes(kept, sys.byteorder)

    def _look(self) -> None:
        confirmed = self._confirmed_bytes()
        if confirmed >= self._confirmed + PROGRESS_BYTES:
            self._confirmed = confirmed
            self._timer = self._loop.call_later(self._seconds, self._look)
            return
        self._timer = None
        reset(self._transport)

    def _confirmed_bytes(self) -> int:
        """How much the caller has confirmed, counted from somewhere: to add to what it does not read is no progress."""
        return (0 if self._writer is None else self._writer.output_size) - self.unread_bytes()
