"""Your credit is held before the work begins, and captured or refunded by how the work ends."""

from aiohttp import web

from nijika import credits
from nijika.ledger import Bill, Hold
from nijika.module import FREE, Handler, Middleware
from nijika.proxy.inbound import UPLOAD_SECONDS
from nijika.state import BILL, KEY, LEDGER, MATCH, REQUEST_ID, UPSTREAMS


class Pricing(Middleware):
    """Every call of a priced route is a charge of its own; a failed one costs nothing."""

    use: str = "pricing"

    def prerequisites(self) -> tuple[str, ...]:
        """Who pays must be known."""
        return ("api_key",)

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Hold the price, let the call happen, settle it. InsufficientCredits, LedgerUnavailable, ChargeLost."""
        price = request[MATCH].route.price
        if price == FREE:
            return await handler(request)
        charge = await request.app[LEDGER].hold(_hold(request, price.hold))
        bill = request[BILL] = Bill(charge, price.capture)
        async with charge:
            response = await handler(request)
            # The proxy settles before the last piece; what a plugin answers is settled here.
            if charge.state == "held":
                bill.foresee(response.status, response.headers)
                await bill.settle()
        return response

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
        response.headers["X-Credits-Charged"] = credits.show(charged)
        response.headers["X-Credits-Remaining"] = credits.show(available)


def _hold(request: web.Request, amount: int) -> Hold:
    route, key = request[MATCH].route, request[KEY]
    seconds = UPLOAD_SECONDS
    if route.upstream is not None:
        seconds += request.app[UPSTREAMS][route.upstream].timing.total
    return Hold(request[REQUEST_ID], key.account, key.id, route.name, amount, seconds)
