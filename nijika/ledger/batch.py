"""Many orders as one call of the SQL function apply_batch, and its answer as one outcome an order."""

import json
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from nijika.database import Connection
from nijika.ledger.orders import Delivery, Hold, Order, Outcome, Settlement

STATEMENT_SECONDS = 5.0

_SQL = "SELECT * FROM apply_batch($1,$2, $3,$4,$5,$6,$7,$8, $9,$10,$11,$12,$13,$14,$15, $16,$17,$18,$19)"


async def apply(connection: Connection, owner: UUID, orders: Sequence[Order], *, patient: bool) -> list[Outcome]:
    """Apply all orders, or none, in one transaction; settlements come before holds. One outcome an order, in order.

    `owner` is this process's lease. Unless `patient`, orders on accounts that somebody else has locked come back as
    "busy". Each id may stand once among the settlements and once among the holds. Raises what asyncpg raises; an
    SQLSTATE of NJ001 means that the lease is lost.
    """
    settlements = [order for order in orders if isinstance(order, Settlement)]
    holds = [order for order in orders if isinstance(order, Hold)]
    deliveries = [order for order in orders if isinstance(order, Delivery)]
    row = await connection.fetchrow(
        _SQL,
        owner,
        patient,
        [order.id for order in settlements],
        [order.account for order in settlements],
        [order.captured for order in settlements],
        [order.status for order in settlements],
        [order.reason for order in settlements],
        [order.digest for order in settlements],
        [order.id for order in holds],
        [order.account for order in holds],
        [order.key for order in holds],
        [order.amount for order in holds],
        [order.route for order in holds],
        [order.seconds for order in holds],
        [order.idempotency_key for order in holds],
        [order.id for order in deliveries],
        [order.account for order in deliveries],
        [order.idempotency_key for order in deliveries],
        [order.arrived for order in deliveries],
        timeout=STATEMENT_SECONDS,
    )
    assert row is not None, "a function returns a row"
    balances = dict(zip(row["account_ids"] or (), row["balances"] or (), strict=True))
    settled = _settled(settlements, row["settle_verdicts"], balances)
    held = _held(holds, row["hold_verdicts"], row["hold_amounts"], row["hold_notes"], balances)
    return [
        next(settled) if isinstance(order, Settlement) else next(held) if isinstance(order, Hold) else _DELIVERED
        for order in orders
    ]


_DELIVERED = Outcome("delivered", None)


def _settled(
    settlements: Sequence[Settlement], verdicts: Sequence[str] | None, balances: Mapping[int, int]
) -> Iterator[Outcome]:
    for index, order in enumerate(settlements):
        yield Outcome("settled" if verdicts is None else verdicts[index], balances.get(order.account))


def _held(
    holds: Sequence[Hold],
    verdicts: Sequence[str] | None,
    amounts: Sequence[int],
    notes: Sequence[str | None],
    balances: Mapping[int, int],
) -> Iterator[Outcome]:
    for index, order in enumerate(holds):
        available = balances.get(order.account)
        if verdicts is None:
            yield Outcome("held", available, order.amount)
        else:
            note = notes[index]
            yield Outcome(verdicts[index], available, amounts[index], None if note is None else json.loads(note))
