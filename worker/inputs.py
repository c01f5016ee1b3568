"""From a request to the bytes of its picture and its options: a raw body, a form, or JSON with an address to fetch."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from aiohttp import BodyPartReader, hdrs, web
from aiohttp.http_exceptions import BadHttpMessage

from worker.fetch import Fetcher
from worker.problems import (
    BadBody,
    BadOption,
    BodyTooLarge,
    EncodedBody,
    NoImage,
    NotAnImage,
    SlowBody,
    UnknownOption,
)

BODY_SECONDS = 60
IMAGE_FIELDS = ("image", "image_file")
TEXT_BYTES_MAX = 16_384

Known = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Order:
    """The bytes of one picture and, for each known option, the value that was asked for or the first one."""

    data: bytes
    options: dict[str, str]


class Reader:
    """Reads orders of at most `body_bytes_max`; without a fetcher, addresses are refused."""

    def __init__(self, body_bytes_max: int, fetcher: Fetcher | None) -> None:
        self._body_bytes_max = body_bytes_max
        self._fetcher = fetcher

    async def read(self, request: web.Request, known: Known) -> Order:
        """Read the order of a request; what can be refused by its head is refused before the body is asked for.

        `known` gives the values of each option, the default first. Raises the problems of problems.py with status 4xx.
        """
        self._check_head(request)
        options = _Options(known)
        for name, value in request.query.items():
            options.add(name, value)
        await _invite(request)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                data = await self._data(request, options)
        except TimeoutError as error:
            raise SlowBody(f"The body took longer than {BODY_SECONDS} seconds. Send it again.") from error
        except web.RequestPayloadError as error:
            raise BadBody("The body is cut short or wrongly framed. Send it again.") from error
        if not data:
            raise NoImage
        return Order(data, options.chosen())

    def _check_head(self, request: web.Request) -> None:
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            raise EncodedBody("Bodies are taken as they are. Send the picture without Content-Encoding.")
        if (request.content_length or 0) > self._body_bytes_max:
            raise BodyTooLarge(self._body_bytes_max)

    async def _data(self, request: web.Request, options: "_Options") -> bytes:
        if request.content_type == "multipart/form-data":
            return await self._form(request, options)
        if request.content_type.startswith("multipart/"):
            raise NotAnImage("Of the multipart kinds only multipart/form-data is read here.")
        if request.content_type == "application/json":
            return await self._json(await self._gather(request, request.content.iter_any(), TEXT_BYTES_MAX), options)
        return await self._gather(request, request.content.iter_any(), self._body_bytes_max)

    async def _form(self, request: web.Request, options: "_Options") -> bytes:
        data = b""
        try:
            async for part in await request.multipart():
                if not isinstance(part, BodyPartReader) or not part.name:
                    raise BadBody('Every part of the form needs a name: "image", or the name of an option.')
                if part.name not in IMAGE_FIELDS:
                    options.check(part.name)
                    options.add(part.name, (await self._gather(request, _chunks(part), TEXT_BYTES_MAX)).decode())
                elif data:
                    raise BadBody("The form has more than one picture. Send one for each request.")
                else:
                    data = await self._gather(request, _chunks(part), self._body_bytes_max)
        except (ValueError, RuntimeError, AssertionError, BadHttpMessage) as error:
            raise BadBody("The form cannot be read: it is cut short or not multipart/form-data.") from error
        return data

    async def _json(self, text: bytes, options: "_Options") -> bytes:
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
            options.add(name, value)
        if not isinstance(url, str) or not url:
            raise NoImage
        options.chosen()
        if self._fetcher is None:
            raise BadBody("This worker fetches no addresses. Send the picture itself.")
        return await self._fetcher.fetch(url, self._body_bytes_max)

    async def _gather(self, request: web.Request, chunks: AsyncIterator[bytes], bytes_max: int) -> bytes:
        gathered = bytearray()
        async for chunk in chunks:
            gathered += chunk
            if len(gathered) > bytes_max or request.content.total_bytes > self._body_bytes_max:
                raise BodyTooLarge(bytes_max)
        return bytes(gathered)


class _Options:
    def __init__(self, known: Known) -> None:
        self._known = known
        self._given: dict[str, str] = {}

    def check(self, name: str) -> None:
        if name not in self._known:
            raise UnknownOption(name, self._known)

    def add(self, name: str, value: object) -> None:
        self.check(name)
        if value not in self._known[name]:
            raise BadOption(f'The option "{name}" takes one of: {", ".join(self._known[name])}.')
        if name in self._given:
            raise BadOption(f'The option "{name}" is given twice.')
        self._given[name] = str(value)

    def chosen(self) -> dict[str, str]:
        return {name: values[0] for name, values in self._known.items()} | self._given


async def _invite(request: web.Request) -> None:
    # aiohttp's own answer to `Expect` comes before the head is looked at, and invites uploads that are then refused.
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(65_536):
        yield chunk
