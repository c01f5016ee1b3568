"""How an answer goes out: its bytes piece by piece; who worked, on how much, for how long, and what it costs."""

import asyncio
from collections.abc import Iterator
from decimal import ROUND_DOWN, Decimal

from aiohttp import hdrs, web

from worker import outputs
from worker.studio import Done

NO_STORE: dict[str, str] = {hdrs.CACHE_CONTROL: "no-store"}
PIECE_BYTES = 262_144
IDLE_SECONDS = 60
WRITE_SECONDS = 600

_MICRO = Decimal("0.000001")


async def send(request: web.BaseRequest, done: Done, price_per_megapixel: Decimal | None) -> web.StreamResponse:
    """Answer with the file, and with X-Nijika-Cost where there is a price.

    It goes out piece by piece, as it is read. Who reads nothing for IDLE_SECONDS, or is not through after
    WRITE_SECONDS, is cut off, and sees that by the Content-Length.
    """
    response = web.StreamResponse(headers=_headers(done, price_per_megapixel))
    response.content_length = len(done.file.body)
    try:
        async with asyncio.timeout(WRITE_SECONDS):
            await response.prepare(request)
            for piece in _pieces(done.file.body):
                async with asyncio.timeout(IDLE_SECONDS):
                    await response.write(piece)
                # A quick reader takes piece after piece without a pause: others have their turn too.
                await asyncio.sleep(0)
            async with asyncio.timeout(IDLE_SECONDS):
                await response.write_eof()
    except (TimeoutError, ConnectionError):
        # Nobody is there to be told anything; what is left in the buffers goes with the connection.
        if request.transport is not None:
            request.transport.abort()
    return response


def _pieces(body: bytes) -> Iterator[memoryview]:
    whole = memoryview(body)
    yield from (whole[start : start + PIECE_BYTES] for start in range(0, len(whole), PIECE_BYTES))


def _headers(done: Done, price_per_megapixel: Decimal | None) -> dict[str, str]:
    megapixels = Decimal(done.pixels) * _MICRO
    headers: dict[str, str] = {
        **NO_STORE,
        hdrs.CONTENT_TYPE: outputs.FORMATS[done.file.kind],
        "X-Engine": done.engine,
        "X-Width": str(done.file.width),
        "X-Height": str(done.file.height),
        "X-Megapixels": plain(megapixels),
        "Server-Timing": ", ".join(f"{step};dur={seconds * 1000:.1f}" for step, seconds in done.seconds.items()),
    }
    if price_per_megapixel is not None:
        headers["X-Nijika-Cost"] = plain(price_per_megapixel * megapixels)
    return headers


def plain(amount: Decimal) -> str:
    """Decimal text with at most six decimals, rounded down: what a gateway takes for a cost."""
    text = f"{amount.quantize(_MICRO, ROUND_DOWN):f}"
    return text.rstrip("0").rstrip(".")
