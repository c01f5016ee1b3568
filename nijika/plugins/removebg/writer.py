"""The worker's request, written from the caller's while that is read."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import hdrs
from multidict import CIMultiDict

from nijika.plugins.removebg.errors import Refused
from nijika.plugins.removebg.form import BASE64, Form
from nijika.plugins.removebg.options import FILES
from nijika.plugins.removebg.order import Order
from nijika.proxy import embedded
from nijika.proxy.budget import Share

Read = Callable[[], Awaitable[Form]]


class Writer:
    """What the worker is sent: `fields` is its head, `pieces` its body. Files flow through, all else is text and kept.

    `share` is what the texts hold of a budget.
    """

    def __init__(self, form: Form, read: Read, share: Share) -> None:
        self._form = form
        self._readings = _readings(form, read)
        self._share = share
        self._boundary = secrets.token_hex(16)
        self._is_json = form.order.is_address

    @classmethod
    async def begun(cls, read: Read, share: Share) -> "Writer":
        """Read up to the first file, so that most refusals need no worker. Raises Refused, and what `read` does."""
        form = await read()
        if not form.file:
            form.order.check_sources()
        form.order.options()
        return cls(form, read, share)

    @property
    def order(self) -> Order:
        """What is known of the caller's request."""
        return self._form.order

    @property
    def fields(self) -> CIMultiDict[str]:
        """What stands for the caller's own fields."""
        kind = "application/json" if self._is_json else f"multipart/form-data; boundary={self._boundary}"
        return CIMultiDict({hdrs.CONTENT_TYPE: kind, hdrs.ACCEPT: "*/*"})

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body; asked for again, it is made again from the caller's, as far as that was kept."""
        self._form = await anext(self._readings)
        async for piece in self._address() if self._is_json else self._multipart():
            yield piece
        self._share.release()

    async def _address(self) -> AsyncIterator[bytes]:
        yield json.dumps({"url": self.order.texts["image_url"], **self.order.options()}).encode()

    async def _multipart(self) -> AsyncIterator[bytes]:
        form, order = self._form, self.order
        while form.file:
            yield self._part(FILES[form.file], is_file=True)
            async for piece in form.content():
                yield piece
            await form.advance()
        order.check_sources()
        options = order.options()
        if BASE64 in order.texts:
            picture = await asyncio.to_thread(_decoded, order.texts.pop(BASE64))
            yield self._part("image", is_file=True)
            for piece in embedded.pieces(picture):
                yield piece
        for name, value in options.items():
            yield self._part(name) + value.encode()
        yield f"\r\n--{self._boundary}--\r\n".encode()

    def _part(self, name: str, *, is_file: bool = False) -> bytes:
        more = '; filename="file"\r\nContent-Type: application/octet-stream' if is_file else ""
        # The line break before the first boundary belongs to an empty preamble (RFC 2046, 5.1.1).
        return f'\r\n--{self._boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode()


async def _readings(begun: Form, read: Read) -> AsyncIterator[Form]:
    """The caller's body once for each time that it is sent: begun already, and after that from its beginning."""
    yield begun
    while True:
        yield await read()


def _decoded(text: str) -> bytes:
    try:
        return embedded.decoded(text)
    except ValueError as error:
        detail = f"{BASE64} is not base64."
        raise Refused("failed_to_read_image", "There was an error reading the image.", detail) from error
