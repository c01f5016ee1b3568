"""What all routes that lead to workers share: price and path as config.toml writes them, and what a worker is told."""

import re
from typing import Annotated, Any

from aiohttp import web
from pydantic import AfterValidator, BeforeValidator, Field

from nijika import credits
from nijika.credits import Amount
from nijika.errors import BadPath, UpstreamFailed, UpstreamTimeout, UpstreamUnavailable
from nijika.module import FREE, Price, Settings, Table
from nijika.proxy.headers import Fields, forwarded
from nijika.proxy.inbound import Inbound
from nijika.proxy.path import canonical
from nijika.route import shape
from nijika.state import BODY_SECONDS, CLIENT_IP, FINGERPRINT, KEY, PUBLIC_URL, REQUEST_ID, UPSTREAMS

PROBLEMS = UpstreamFailed, UpstreamUnavailable, UpstreamTimeout
"""What may go wrong with a worker."""


def _field_name(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9-]+", text) is None:
        raise ValueError(f'"{text}" is no name of a header field')
    return text


class Metered(Settings):
    """A price by use."""

    hold: Annotated[Amount, Field(gt=0)]
    """The most that a call may cost; it is held until the answer is complete."""
    capture: Annotated[str, AfterValidator(_field_name), Field(title="name of a field")]
    """The field of the worker's answer that tells what it did cost; without a right one the whole hold is captured."""


def _price(value: Any) -> Price:
    if value == "free":
        return FREE
    if isinstance(value, str):
        amount = credits.parse(value)
        if amount == 0:
            raise ValueError('a price of nothing is written out: "free"')
        return Price(amount)
    if isinstance(value, dict):
        metered = Metered.model_validate(value)
        return Price(metered.hold, metered.capture)
    raise ValueError('a price is decimal text such as "0.01", or "free", or { hold = "0.10", capture = "X-Cost" }')


def _path(value: str) -> str:
    shape(value)
    plain = re.sub(r"\{[a-z_]+\}", "x", value)
    try:
        is_canonical = canonical(plain).path == plain
    except BadPath:
        is_canonical = False
    if not is_canonical:
        raise ValueError(f'"{value}" has another spelling, under which callers come; write it without needless escapes')
    return value


PriceSetting = Annotated[
    Price, BeforeValidator(_price), Table(Metered), Field(title='credits, such as `"0.01"`; `"free"`; or a table')
]
PathSetting = Annotated[str, AfterValidator(_path), Field(title="path")]


def body(request: web.Request, upstream: str, bytes_max: int) -> Inbound:
    """The caller's body, on its way to a worker of `upstream`."""
    return Inbound(
        request,
        bytes_max=bytes_max,
        seconds=request.app[BODY_SECONDS],
        keeps=any(each.wake for each in request.app[UPSTREAMS][upstream].chain),
        reader=request.get(FINGERPRINT),
    )


def told(request: web.Request) -> Fields:
    """What the worker is told of the call, in place of what the caller may have claimed."""
    fields = [*forwarded(request[CLIENT_IP], request.app[PUBLIC_URL]), ("X-Request-ID", str(request[REQUEST_ID]))]
    if KEY in request:
        fields.append(("X-Nijika-Account", str(request[KEY].account)))
    return fields
