"""From a request of remove.bg's contract to the one that the worker understands, written anew while it flows."""

import asyncio
import base64
import binascii
import json
import secrets
from collections.abc import AsyncIterator

from aiohttp import hdrs, web
from multidict import CIMultiDict

from nijika.plugins.removebg.errors import Refused
from nijika.plugins.removebg.form import Form
from nijika.plugins.removebg.options import FILES, check_sources, translated
from nijika.proxy.inbound import Inbound


class Order:
    """What the worker is sent: `fields` is its head, `pieces` its body. Files flow through, all else is text and kept.

    `names_type` tells, once the body was read, whether the caller wants to know the type of the foreground.
    """

    def __init__(self, request: web.Request, inbound: Inbound, form: Form) -> None:
        self._request = request
        self._inbound = inbound
        self._form: Form | None = form
        self._boundary = secrets.token_hex(16)
        self._is_url = not form.file and "image_url" in form.texts
        self.names_type = True

    @classmethod
    async def begun(cls, request: web.Request, inbound: Inbound) -> "Order":
        """Read up to the first file, so that most refusals need no worker. Raises Refused, and what the body does."""
        form = await _begun(request, inbound)
        if not form.file:
            check_sources(form.texts)
        translated(form.texts)
        return cls(request, inbound, form)

    @property
    def fields(self) -> CIMultiDict[str]:
        """What stands for the caller's own fields."""
        kind = "application/json" if self._is_url else f"multipart/form-data; boundary={self._boundary}"
        return CIMultiDict({hdrs.CONTENT_TYPE: kind, hdrs.ACCEPT: "*/*"})

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body; asked for again, it is made again from the caller's, as far as that was kept."""
        form = self._form or await _begun(self._request, self._inbound)
        self._form = None
        if self._is_url:
            self._note(form)
            yield json.dumps({"url": form.texts["image_url"], **translated(form.texts)}).encode()
            return
        files: set[str] = set()
        while form.file:
            if form.file in files:
                raise Refused(f"invalid_{form.file}", f"Invalid {form.file} parameter given", "It is given twice.")
            files.add(form.file)
            yield self._part(FILES[form.file], is_file=True)
            async for piece in form.content():
                yield piece
            await form.advance()
        for piece in await self._rest(form, files):
            yield piece

    async def _rest(self, form: Form, files: set[str]) -> list[bytes]:
        """What follows the files: everything is known by now."""
        check_sources(dict.fromkeys([*files, *form.texts]))
        self._note(form)
        if "image_url" in form.texts:
            detail = "A background that is a file goes with a picture that is sent, too."
            raise Refused("invalid_bg_image_file", "Invalid bg_image_file parameter given", detail)
        rest: list[bytes] = []
        if "image_file_b64" in form.texts:
            rest += [
                self._part("image", is_file=True),
                await asyncio.to_thread(_decoded, form.texts.pop("image_file_b64")),
            ]
        for name, value in translated(form.texts).items():
            rest += [self._part(name), value.encode()]
        return [*rest, b"\r\n--" + self._boundary.encode() + b"--\r\n"]

    def _note(self, form: Form) -> None:
        self.names_type = form.texts.get("type_level") != "none"

    def _part(self, name: str, *, is_file: bool = False) -> bytes:
        more = '; filename="file"\r\nContent-Type: application/octet-stream' if is_file else ""
        # The line break before the first boundary belongs to an empty preamble (RFC 2046, 5.1.1).
        return f'\r\n--{self._boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode()


async def _begun(request: web.Request, inbound: Inbound) -> Form:
    form = Form(request, inbound.chunks(), frozenset(FILES))
    await form.advance()
    return form


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        detail = "image_file_b64 is not base64."
        raise Refused("failed_to_read_image", "There was an error reading the image.", detail) from error
