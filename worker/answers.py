"""What an answer tells beside its bytes: who worked, on how much, for how long, and what it costs."""

from decimal import ROUND_DOWN, Decimal

from aiohttp import hdrs, web

from worker import outputs
from worker.studio import Done

NO_STORE: dict[str, str] = {hdrs.CACHE_CONTROL: "no-store"}

_MICRO = Decimal("0.000001")


def answer(done: Done, price_per_megapixel: Decimal | None) -> web.Response:
    """The file, with X-Nijika-Cost where there is a price."""
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
    return web.Response(body=done.file.body, headers=headers)


def plain(amount: Decimal) -> str:
    """Decimal text with at most six decimals, rounded down: what a gateway takes for a cost."""
    text = f"{amount.quantize(_MICRO, ROUND_DOWN):f}"
    return text.rstrip("0").rstrip(".")
