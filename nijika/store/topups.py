"""Credit that came from outside, by the id that it has there."""

from typing import NamedTuple
from uuid import UUID

from nijika.database import Connection


class TopUp(NamedTuple):
    """What was asked for under one id: an amount in micro-credits for an account, and its entry in the journal."""

    account: int
    amount: int
    entry: UUID


async def note(connection: Connection, id: str, topup: TopUp) -> TopUp | None:
    """Write it down, and return None; where the id is known, what it stands for. Twins wait for each other."""
    new = await connection.fetchval(
        "INSERT INTO topups (id, account, amount, entry) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING true",
        id,
        *topup,
    )
    if new:
        return None
    row = await connection.fetchrow("SELECT account, amount, entry FROM topups WHERE id = $1", id)
    assert row is not None, "nobody removes one"
    return TopUp(row["account"], row["amount"], row["entry"])
