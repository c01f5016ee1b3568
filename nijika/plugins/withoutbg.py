"""withoutBG's contract in front of nijika's worker: its client works here with `base_url`.

Source: PyPI's withoutbg 1.3 (withoutbg/api.py), which asks for the transparency alone and applies it itself.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable

from aiohttp import hdrs, web
from multidict import CIMultiDict
from pydantic import PositiveInt

from nijika import endpoint
from nijika.endpoint import PathSetting, PriceSetting
from nijika.errors import Problem
from nijika.module import Plugin, Route
from nijika.proxy import embedded
from nijika.proxy.answer import Answer
from nijika.proxy.budget import GATHERED
from nijika.proxy.contract import Refusal
from nijika.proxy.encoded import Encoded
from nijika.proxy.forward import forward
from nijika.proxy.translated import Translated
from nijika.state import BEGAN, BILL, UPSTREAMS

MEMBERS_MAX = 64


class NotTaken(Problem):
    """What was sent is no picture in their form, or none that the worker takes."""

    status = 400
    code = "request-not-taken"
    title = "The request was not accepted"


class WithoutBg(Plugin):
    """The client of withoutBG, told another address, works here (drop-in.md)."""

    upstream: str
    """The worker, one that speaks as nijika's own does: the name of a table `[upstreams.NAME]`."""
    price: PriceSetting
    """What a success costs."""
    path: PathSetting = "/v1.0/alpha-channel-base64"
    """Where pictures are sent."""
    target: PathSetting = "/v1/alpha"
    """The path on the worker."""
    body_bytes_max: PositiveInt = 34_952_534  # 25 MiB in base64
    """The largest body that is taken, in bytes. A picture in base64 is a third larger than the picture."""

    def routes(self) -> Iterable[Route]:
        """The reference of it is withoutBG's own."""
        yield Route(
            ("POST",),
            self.path,
            self._matte,
            self.price,
            needs_key=True,
            body_bytes_max=self.body_bytes_max,
            content_types=("application/json",),
            upstream=self.upstream,
            target=self.target,
            continues=True,
            about=None,
            renders=_render,
        )

    async def _matte(self, request: web.Request) -> web.StreamResponse:
        inbound = endpoint.body(request, self.upstream, self.body_bytes_max)
        with GATHERED.share(self.body_bytes_max if inbound.size is None else inbound.size) as share:
            share.take()
            picture = await asyncio.to_thread(_picture, await embedded.gathered(inbound.chunks()))

            async def pieces() -> AsyncIterator[bytes]:
                nonlocal picture
                for piece in embedded.pieces(picture):
                    yield piece
                if not inbound.is_replayable:
                    picture = b""
                    share.release()

            return await forward(
                request,
                request.app[UPSTREAMS][self.upstream],
                target=self.target,
                body=Translated(inbound, pieces),
                added=endpoint.told(request),
                bill=request.get(BILL),
                began=request[BEGAN],
                fields=CIMultiDict({hdrs.CONTENT_TYPE: "application/octet-stream", hdrs.ACCEPT: "*/*"}),
                contract=_Mattes(),
            )


class _Mattes:
    kinds: tuple[str, ...] = ("image/",)

    def dress(self, answer: Answer) -> Answer:
        return Encoded(answer, b'{"alpha_base64":"', b'"}')

    def refuse(self, refusal: Refusal) -> Problem:
        return NotTaken(refusal.detail)


def _picture(body: bytearray) -> bytes:
    try:
        return embedded.decoded(embedded.members(body, MEMBERS_MAX)["image_base64"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NotTaken('Send JSON with the picture in base64: {"image_base64": "…"}.') from error


def _render(_: web.Request, problem: Problem) -> web.Response:
    """Their client knows 401, 402, 403 and 429 by the status, and shows the sentence of all others."""
    headers = {"Cache-Control": "no-store", **problem.headers}
    return web.json_response({"error": str(problem)}, status=problem.status, headers=headers)
