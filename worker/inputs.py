"""From a request to the bytes of its picture and its options: a raw body, a form, or JSON with an address to fetch."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import BodyPartReader, hdrs, web
from aiohttp.http_exceptions import BadHttpMessage

from worker.fetch import Fetcher
from worker.options import Chosen, Known
from worker.problems import BadBody, BadOption, BodyTooLarge, EncodedBody, NoImage, NotAnImage, SlowBody

BODY_SECONDS = 60
IMAGE_FIELDS = ("image", "image_file")
BACKDROP_OPTION = "bg_image"
BACKDROP_FIELDS = (BACKDROP_OPTION, "bg_image_file")
TEXT_BYTES_MAX = 16_384


@dataclass
class Order:
    """What one request brings: the bytes of a picture or where to fetch it, the same of a backdrop, and the options."""

    options: Chosen
    data: bytes = b""
    url: str | None = None
    backdrop: bytes | None = None

    @property
    def has_backdrop(self) -> bool:
        """Whether there is a picture to lay the other one on."""
        return self.backdrop is not None or BACKDROP_OPTION in self.options.given


class Reader:
    """Reads orders of at most `body_bytes_max`; without a fetcher, addresses are refused."""

    def __init__(self, body_bytes_max: int, fetcher: Fetcher | None) -> None:
        self._body_bytes_max = body_bytes_max
        self._fetcher = fetcher

    async def read(self, request: web.Request, known: Known) -> Order:
        """Read the order of a request; what can be refused by its head is refused before the body is asked for.

        Nothing is fetched yet. Raises the problems of problems.py with status 4xx.
        """
        self._check_head(request)
        order = Order(Chosen(known))
        for name, value in request.query.items():
            order.options.add(name, value)
        await _invite(request)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                await self._fill(order, request)
        except TimeoutError as error:
            raise SlowBody(f"The body took longer than {BODY_SECONDS} seconds. Send it again.") from error
        except web.RequestPayloadError as error:
            raise BadBody("The body is cut short or wrongly framed. Send it again.") from error
        if not order.data and order.url is None:
            raise NoImage
        return order

    async def fetch(self, order: Order) -> None:
        """Put the bytes of what is known by its address into the order. Raises as Fetcher.fetch does, and BadBody."""
        if order.url is not None:
            order.data = await self._fetched(order.url)
        if BACKDROP_OPTION in order.options.given:
            order.backdrop = await self._fetched(order.options.given[BACKDROP_OPTION])

    async def _fetched(self, url: str) -> bytes:
        if self._fetcher is None:
            raise BadBody("This worker fetches no addresses. Send the picture itself.")
        return await self._fetcher.fetch(url, self._body_bytes_max)

    def _check_head(self, request: web.Request) -> None:
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            raise EncodedBody("Bodies are taken as they are. Send the picture without Content-Encoding.")
        if (request.content_length or 0) > self._body_bytes_max:
            raise BodyTooLarge(self._body_bytes_max)

    async def _fill(self, order: Order, request: web.Request) -> None:
        if request.content_type == "multipart/form-data":
            await self._form(order, request)
        elif request.content_type.startswith("multipart/"):
            raise NotAnImage("Of the multipart kinds only multipart/form-data is read here.")
        elif request.content_type == "application/json":
            _json(order, await self._gather(request, request.content.iter_any(), TEXT_BYTES_MAX))
        else:
            order.data = await self._gather(request, request.content.iter_any(), self._body_bytes_max)

    async def _form(self, order: Order, request: web.Request) -> None:
        try:
            async for part in await request.multipart():
                if not isinstance(part, BodyPartReader) or not part.name:
                    raise BadBody('Every part of the form needs a name: "image", or the name of an option.')
                await self._part(order, request, part, part.name)
        except (ValueError, RuntimeError, AssertionError, BadHttpMessage) as error:
            raise BadBody("The form cannot be read: it is cut short or not multipart/form-data.") from error

    async def _part(self, order: Order, request: web.Request, part: BodyPartReader, name: str) -> None:
        if name in IMAGE_FIELDS:
            if order.data:
                raise BadBody("The form has more than one picture. Send one for each request.")
            order.data = await self._gather(request, _chunks(part), self._body_bytes_max)
        elif name in BACKDROP_FIELDS and part.filename is not None:
            order.options.check(BACKDROP_OPTION)
            if order.has_backdrop:
                raise BadOption(f'The option "{BACKDROP_OPTION}" is given twice.')
            order.backdrop = await self._gather(request, _chunks(part), self._body_bytes_max)
        else:
            order.options.check(name)
            order.options.add(name, (await self._gather(request, _chunks(part), TEXT_BYTES_MAX)).decode())

    async def _gather(self, request: web.Request, chunks: AsyncIterator[bytes], bytes_max: int) -> bytes:
        gathered = bytearray()
        async for chunk in chunks:
            gathered += chunk
            if len(gathered) > bytes_max or request.content.total_bytes > self._body_bytes_max:
                raise BodyTooLarge(bytes_max)
        return bytes(gathered)


def _json(order: Order, text: bytes) -> None:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadBody(
            'The body is not JSON. Send {"url": "https://…"}, or the picture with its own Content-Type.'
        ) from error
    if not isinstance(fields, dict):
        raise BadBody('The JSON must be an object such as {"url": "https://…"}.')
    url = fields.pop("url", None)
    for name, value in fields.items():
        order.options.add(name, value)
    if not isinstance(url, str) or not url:
        raise NoImage
    order.url = url


async def _invite(request: web.Request) -> None:
    # aiohttp's own answer to `Expect` comes before the head is looked at, and invites uploads that are then refused.
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(65_536):
        yield chunk
