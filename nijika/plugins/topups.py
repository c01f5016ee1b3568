"""Credit from outside: a payment system tells who has paid, once or again, and it is given once."""

from collections.abc import Iterable
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from nijika import credits, oversight, request_id
from nijika.database import Connection, connected
from nijika.endpoint import PathSetting
from nijika.errors import (
    BadParameter,
    BelowZero,
    LedgerUnavailable,
    NotAllowed,
    NotFound,
    OutOfScope,
    TooMuchCredit,
    TopUpReused,
)
from nijika.module import FREE, About, Plugin, Route
from nijika.state import KEY, POOL
from nijika.store import topups, users
from nijika.store.topups import TopUp

JSON = "application/json"
BODY_BYTES_MAX = 16_384
FLOAT_EXACT_MAX = 2.0**53

_LIKE = '{"id": "pi_17", "account": 1, "amount": "25", "reason": "Payment pi_17"}.'


def _whole(value: object) -> object:
    """JSON has one kind of number: 17.0 is 17. Beyond 2^53 it could be another one, too."""
    return int(value) if isinstance(value, float) and value.is_integer() and value < FLOAT_EXACT_MAX else value


# What `credits.parse` takes, but zero: as a pattern that only readers of the document need.
_AMOUNT = r"^-?(?!0+(\.0+)?$)(0?[0-9]{1,12}(\.[0-9]{1,6})?|1000000000000(\.0{1,6})?)$"


class TopUpRequest(BaseModel):
    """Whom to give what; below zero it is taken back, as after a chargeback, all of it or nothing."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: Annotated[
        str,
        Field(pattern=r"^[ -~]{1,255}$", description="Your own id of the payment, for which credit is given once."),
    ]
    account: Annotated[
        int,
        Field(gt=0, le=2**63 - 1, description="The account, as `/api/account` calls it."),
        BeforeValidator(_whole),
    ]
    amount: Annotated[
        str,
        Field(
            pattern=r"^-?[0-9]+(\.[0-9]{1,6})?$",
            description="Credits, as decimal text; not 0.",
            json_schema_extra={"pattern": _AMOUNT},
        ),
    ]
    reason: Annotated[
        str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,200}$", description="What the account's owner reads of it.")
    ]


class TopUpResult(BaseModel):
    """What was done, or had been done before (`repeated`), and what the account has available now."""

    id: str
    account: int
    amount: str
    available: str
    repeated: bool


class TopUps(Plugin):
    """A payment system gives credit (payments.md).

    It takes a key of an admin's account that has this very route among its scopes. A key without scopes will not do:
    those lie in many hands, and this one makes money.
    """

    path: PathSetting = "/api/staff/credits"
    """Where it is asked to."""

    def routes(self) -> Iterable[Route]:
        """The one route."""
        yield Route(
            ("POST",),
            self.path,
            _give,
            FREE,
            needs_key=True,
            body_bytes_max=BODY_BYTES_MAX,
            content_types=(JSON,),
            about=_ABOUT,
        )


_ABOUT = About(
    "Give an account credit",
    "For payment systems. The same `id` gives credit once, however often it is sent; with another account or amount it "
    "is refused.",
    asks=TopUpRequest,
    answer=TopUpResult,
    problems=(
        BadParameter,
        NotFound,
        NotAllowed,
        BelowZero,
        TooMuchCredit,
        TopUpReused,
        LedgerUnavailable,
    ),
)


async def _give(request: web.Request) -> web.Response:
    if request[KEY].scopes is None:
        raise OutOfScope
    asked = _asked(await request.read())
    amount = _micro(asked.amount)
    async with connected(request.app[POOL]) as connection:
        given = await _given(connection, request[KEY].account, asked, amount)
    return web.json_response(given.model_dump(), headers={"Cache-Control": "no-store"})


async def _given(connection: Connection, operator: int, asked: TopUpRequest, amount: int) -> TopUpResult:
    actor, user = [await users.of_account(connection, account) for account in (operator, asked.account)]
    if actor is None or actor["role"] != "admin":
        raise NotAllowed
    if user is None:
        raise NotFound  # also for a repeated one, whose account was deleted since: nobody has the credit
    wished = TopUp(asked.account, amount, request_id.make())
    async with connection.transaction():
        before = await topups.note(connection, asked.id, wished)
        if before is not None:
            now = await users.of_account(connection, asked.account) or user
            return _repeated(asked, wished, before, now["available"])
        done = await oversight.adjust(
            connection, id=wished.entry, actor=actor["id"], user=user["id"], amount=amount, reason=asked.reason
        )
    return _given_now(asked, wished, done.available, repeated=False)


def _repeated(asked: TopUpRequest, wished: TopUp, before: TopUp, available: int) -> TopUpResult:
    if (before.account, before.amount) != (wished.account, wished.amount):
        raise TopUpReused
    return _given_now(asked, wished, available, repeated=True)


def _given_now(asked: TopUpRequest, topup: TopUp, available: int, *, repeated: bool) -> TopUpResult:
    return TopUpResult(
        id=asked.id,
        account=topup.account,
        amount=credits.show(topup.amount),
        available=credits.show(available),
        repeated=repeated,
    )


def _asked(body: bytes) -> TopUpRequest:
    try:
        return TopUpRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "the body"
        raise BadParameter(f"{name}: {first['msg']}. Send {_LIKE}") from None


def _micro(text: str) -> int:
    """Micro-credits, below zero to take them back."""
    try:
        amount = credits.parse(text.removeprefix("-"))
    except ValueError as error:
        raise BadParameter(f"amount: {error}.") from None
    if amount == 0:
        raise BadParameter("amount: nothing can be neither given nor taken.")
    return -amount if text.startswith("-") else amount
