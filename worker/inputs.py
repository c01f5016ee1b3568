"""From a request to the bytes of its picture and its options: a raw body, a form, or JSON with an address to fetch."""

import json
from dataclasses import dataclass

from aiohttp import BodyPartReader, hdrs, web
from aiohttp.http_exceptions import BadHttpMessage

from worker import pixels
from worker.body import Body
from worker.fetch import Fetcher
from worker.options import Chosen, Known, given_twice
from worker.problems import BadBody, BodyTooLarge, EncodedBody, NoImage, NotAnImage, of_backdrop

IMAGE_FIELDS = ("image", "image_file")
BACKDROP_OPTION = "bg_image"
BACKDROP_FIELDS = (BACKDROP_OPTION, "bg_image_file")
TEXT_BYTES_MAX = 16_384


@dataclass
class Order:
    """What one request brings: the bytes of a picture or where to fetch it, the same of a backdrop, and the options."""

    options: Chosen
    data: bytes = b""
    has_picture: bool = False
    url: str | None = None
    backdrop: bytes | None = None

    @property
    def has_backdrop(self) -> bool:
        """Whether there is a picture to lay the other one on."""
        return self.backdrop is not None or BACKDROP_OPTION in self.options.given

    def add_picture(self, data: bytes) -> None:
        """Take the picture, be it empty. Raises BadBody for a second one."""
        if self.has_picture:
            raise BadBody("The form has more than one picture. Send one for each request.")
        self.data, self.has_picture = data, True

    def add_backdrop(self, data: bytes) -> None:
        """Take the picture to lay the other one on. Raises BadOption for a second one."""
        if self.has_backdrop:
            raise given_twice(BACKDROP_OPTION)
        self.backdrop = data

    def add_option(self, name: str, value: object) -> None:
        """Take an option. Raises UnknownOption, and BadOption also for a backdrop's address beside its file."""
        if name == BACKDROP_OPTION and self.has_backdrop:
            raise given_twice(BACKDROP_OPTION)
        self.options.add(name, value)


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
        body = Body(request, self._body_bytes_max)
        async with body.reading():
            await self._fill(order, request.content_type, body)
        if not order.data and order.url is None:
            raise NoImage
        return order

    async def fetch(self, order: Order) -> None:
        """Put what is known by its address into the order. Raises as Fetcher.fetch does, BadBody, and BadBackdrop."""
        if order.url is not None:
            order.data = await self._fetched(order.url)
        if BACKDROP_OPTION in order.options.given:
            with of_backdrop():
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

    async def _fill(self, order: Order, kind: str, body: Body) -> None:
        if kind == "multipart/form-data":
            await self._form(order, body)
        elif kind.startswith("multipart/"):
            raise NotAnImage("Of the multipart kinds only multipart/form-data is read here.")
        elif kind == "application/json":
            _json(order, await body.whole(TEXT_BYTES_MAX))
        else:
            order.data = await body.whole(self._body_bytes_max)
            # curl calls by this name whatever it sends, unless told otherwise: a picture is taken for one.
            if kind == "application/x-www-form-urlencoded" and not pixels.begins_like_a_picture(order.data):
                raise NotAnImage('Forms are read as multipart/form-data only. Send the picture in its field "image".')

    async def _form(self, order: Order, body: Body) -> None:
        try:
            async for part in body.parts():
                await self._part(order, body, part)
        except (ValueError, RuntimeError, AssertionError, BadHttpMessage) as error:
            raise BadBody("The form cannot be read: it is cut short or not multipart/form-data.") from error

    async def _part(self, order: Order, body: Body, part: BodyPartReader) -> None:
        name = str(part.name)
        if name in IMAGE_FIELDS:
            if (data := await self._file(body, part)) is not None:
                order.add_picture(data)
        elif name in BACKDROP_FIELDS and part.filename is not None:
            order.options.check(BACKDROP_OPTION)
            if (data := await self._file(body, part)) is not None:
                order.add_backdrop(data)
        else:
            order.options.check(name)
            order.add_option(name, (await body.content(part, TEXT_BYTES_MAX)).decode())

    async def _file(self, body: Body, part: BodyPartReader) -> bytes | None:
        data = await body.content(part, self._body_bytes_max)
        # A browser sends a file input in which nothing was chosen as an empty file without a name.
        return None if not data and part.filename == "" else data


def _json(order: Order, text: bytes) -> None:
    try:
        fields = json.loads(text, object_pairs_hook=_once)
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


def _once(members: list[tuple[str, object]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, value in members:
        if name in fields:
            raise given_twice(name)
        fields[name] = value
    return fields


async def _invite(request: web.Request) -> None:
    # aiohttp's own answer to `Expect` comes before the head is looked at, and invites uploads that are then refused.
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
