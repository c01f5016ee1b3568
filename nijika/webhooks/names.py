"""Looks host names up in threads of its own: strangers choose the names, and a name server may be silent for long."""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

SENDING_MAX = 64
"""Twice as many as messages are under way: a look-up may outlast the attempt that wanted it, and then comes another."""

FORMS_MAX = 16


class Names:
    """Look-ups for messages and for forms are apart: whoever fills in forms keeps no message from being sent."""

    def __init__(self) -> None:
        self._sending = ThreadPoolExecutor(SENDING_MAX, "webhook-names")
        self._forms = ThreadPoolExecutor(FORMS_MAX, "webhook-forms")

    async def to_send(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a host that is sent to; OSError or UnicodeError if it has none."""
        return await _look_up(self._sending, host, port)

    async def to_check(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a host that was filled in; the same errors."""
        return await _look_up(self._forms, host, port)

    def close(self) -> None:
        """End the threads, the busy ones with their look-up."""
        for threads in (self._sending, self._forms):
            threads.shutdown(wait=False, cancel_futures=True)


async def _look_up(threads: ThreadPoolExecutor, host: str, port: int) -> Sequence[str]:
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(threads, look_up)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
