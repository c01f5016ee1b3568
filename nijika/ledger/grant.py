"""Credit that an operator gives; the only way in which credit comes into being."""

from uuid import UUID

from nijika.database import Connection


async def grant(connection: Connection, id: UUID, account: int, amount: int, reason: str) -> int:
    """Give `amount` (> 0) micro-credits; returns what the account has available then. Once per `id`."""
    available: int = await connection.fetchval(
        """WITH credit AS (
               UPDATE accounts SET available = available + $3, granted = granted + $3 WHERE id = $2
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
    return available
