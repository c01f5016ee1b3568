"""Credit that an operator gives or takes back; the only way in which credit comes into being."""

from uuid import UUID

from nijika import credits
from nijika.database import Connection
from nijika.errors import BelowZero


async def grant(connection: Connection, id: UUID, account: int, amount: int, reason: str) -> int:
    """Give `amount` micro-credits, or take them back if it is negative; returns what is available then. Once per `id`.

    BelowZero, and nothing is changed, if there is less to take.
    """
    available: int | None = await connection.fetchval(
        """WITH credit AS (
               UPDATE accounts SET available = available + $3, granted = granted + $3
                WHERE id = $2 AND available + $3 >= 0
               RETURNING available),
           entry AS (
               INSERT INTO journal (id, step, kind, account, available, held, granted, spent, reason)
               SELECT $1, 0, 'grant', $2, $3, 0, $3, 0, $4 FROM credit)
           SELECT available FROM credit""",
        id,
        account,
        amount,
        reason,
    )
    if available is None:
        left = await connection.fetchval("SELECT available FROM accounts WHERE id = $1", account)
        raise BelowZero(available=credits.show(left))
    return available
