"""Your credit is held before the work begins, and captured or refunded by how the work ends."""

import asyncio
import re

from aiohttp import hdrs, web

from nijika import credits
from nijika.errors import (
    BadParameter,
    ChargeLost,
    ChargeUnknown,
    IdempotencyKeyDone,
    IdempotencyKeyInFlight,
    IdempotencyKeyReused,
    InsufficientCredits,
    KeySpendCap,
    LedgerBusy,
    LedgerUnavailable,
    Problem,
)
from nijika.ledger import Bill, Charge, Fingerprint, Hold
from nijika.module import FREE, Handler, Middleware, Route
from nijika.proxy.inbound import UPLOAD_SECONDS, Inbound
from nijika.proxy.relay import DOWNLOAD_SECONDS
from nijika.state import (
    BILL,
    BODY_SECONDS,
    DELIVERED,
    FINGERPRINT,
    KEY,
    LEDGER,
    MATCH,
    PATH,
    QUERY,
    REQUEST_ID,
    UPSTREAMS,
)

MARGIN_SECONDS = 60.0  # for settling

CHARGED, REMAINING = "X-Credits-Charged", "X-Credits-Remaining"

_NAME = re.compile(r"[ -~]{1,255}", re.ASCII)


class Pricing(Middleware):
    """Every call of a priced route is a charge of its own; a failed one costs nothing.

    Calls with the same `Idempotency-Key` are attempts at one call, which is paid for once.
    """

    use: str = "pricing"

    def prerequisites(self) -> tuple[str, ...]:
        """Who pays must be known."""
        return ("api_key",)

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Hold the price, let the call happen, settle it.

        InsufficientCredits, KeySpendCap, IdempotencyKeyInFlight, -Done or -Reused, LedgerUnavailable, LedgerBusy,
        ChargeLost.
        """
        price = request[MATCH].route.price
        if price == FREE:
            return await handler(request)
        charge = await _held(request, price.hold)
        bill = request[BILL] = Bill(charge, price.capture)
        try:
            async with charge:
                response = await handler(request)
                # The proxy settles before the last piece; what a plugin answers is settled here.
                if charge.state == "held":
                    bill.foresee(response.status, response.headers)
                    await bill.settle()
        except asyncio.CancelledError:
            charge.delivered(False)
            raise
        return response

    def refuses(self, route: Route) -> tuple[type[Problem], ...]:
        """What stands in the way of a charge."""
        return () if route.price == FREE else _REFUSALS

    def adds(self, route: Route) -> tuple[str, ...]:
        """What the call cost, and what is left."""
        return () if route.price == FREE else (CHARGED, REMAINING)

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Tell the caller what the call costs, also where the head goes out before the charge is settled."""
        bill = request.get(BILL)
        if bill is None or bill.charge.state == "unknown":
            return
        charge = bill.charge
        if not bill.is_foreseen:
            bill.foresee(response.status, response.headers)
        is_open = charge.state == "held"
        charged = bill.cost if is_open else charge.captured
        available = charge.available + (charge.held - charged if is_open else 0)
        response.headers[CHARGED] = credits.show(charged)
        response.headers[REMAINING] = credits.show(available)


_REFUSALS = (
    BadParameter,
    InsufficientCredits,
    KeySpendCap,
    IdempotencyKeyInFlight,
    IdempotencyKeyDone,
    IdempotencyKeyReused,
    LedgerUnavailable,
    LedgerBusy,
    ChargeUnknown,
    ChargeLost,
)


async def _held(request: web.Request, amount: int) -> Charge:
    name = _idempotency_key(request)
    if name is None:
        return await request.app[LEDGER].hold(_hold(request, amount))
    target = f"{request.method} {request[PATH]}?{request[QUERY]}"
    fingerprint = request[FINGERPRINT] = Fingerprint(target, request.headers.get(hdrs.CONTENT_TYPE, ""))
    try:
        charge = await request.app[LEDGER].hold(_hold(request, amount, name, fingerprint))
    except IdempotencyKeyDone as done:
        fingerprint.expected = done.digest
        await _compare(request, fingerprint)
        raise
    request[DELIVERED] = charge.delivered
    return charge


async def _compare(request: web.Request, fingerprint: Fingerprint) -> None:
    """A key that is done answers one call only; whether this is that call, its body tells. IdempotencyKeyReused."""
    bytes_max, seconds = request[MATCH].route.body_bytes_max, request.app[BODY_SECONDS]
    body = Inbound(request, bytes_max=bytes_max, seconds=seconds, keeps=False, reader=fingerprint)
    async for _ in body.chunks():
        pass


def _idempotency_key(request: web.Request) -> str | None:
    names = request.headers.getall("Idempotency-Key", ())
    if not names:
        return None
    if len(names) > 1 or _NAME.fullmatch(names[0]) is None:
        raise BadParameter("An Idempotency-Key is one field of 1 to 255 printable ASCII characters.")
    return names[0]


def _hold(request: web.Request, amount: int, name: str | None = None, fingerprint: Fingerprint | None = None) -> Hold:
    route, key = request[MATCH].route, request[KEY]
    seconds = UPLOAD_SECONDS + DOWNLOAD_SECONDS + MARGIN_SECONDS
    if route.upstream is not None:
        seconds += sum(upstream.seconds_max for upstream in request.app[UPSTREAMS][route.upstream].chain)
    return Hold(request[REQUEST_ID], key.account, key.id, route.name, amount, seconds, name, fingerprint)
