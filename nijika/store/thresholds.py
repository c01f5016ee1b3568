"""Below which amounts an account wants to be told, and whether it was told."""

from collections.abc import Iterable

import asyncpg

from nijika.database import Connection, Pool, fetch, fetchval
from nijika.store import usage

LOW = "balance.low"
EXHAUSTED = "balance.exhausted"


async def of_account(connection: Connection, account: int) -> list[asyncpg.Record]:
    """The thresholds that the holder has set, the highest first: `amount` (micro-credits), and if it is `armed`."""
    return await connection.fetch(
        "SELECT amount, armed FROM webhook_thresholds WHERE account = $1 AND event = $2 ORDER BY amount DESC",
        account,
        LOW,
    )


async def put(connection: Connection, account: int, event: str, amounts: Iterable[int]) -> None:
    """Set the thresholds (micro-credits) of an event, in a transaction; those that stay are told or not told as before.

    A new one that is above what there is, is not told: nothing fell below it yet.
    """
    wanted = sorted(set(amounts))
    balance = await _balance(connection, account)
    await connection.execute(
        "DELETE FROM webhook_thresholds WHERE account = $1 AND event = $2 AND amount <> ALL ($3)",
        account,
        event,
        wanted,
    )
    await connection.execute(
        """INSERT INTO webhook_thresholds (account, event, amount, armed)
           SELECT $1, $2, amount, $4 >= amount FROM unnest($3::bigint[]) AS t(amount)
           ON CONFLICT DO NOTHING""",
        account,
        event,
        wanted,
        balance,
    )


async def reprice(pool: Pool, lowest: int) -> None:
    """Let all accounts with webhooks be exhausted below `lowest` (micro-credits), the price of the cheapest call.

    Those whose webhooks are older than the first price are told of that, too.
    """
    await fetch(pool, "UPDATE webhook_thresholds SET amount = $1 WHERE event = $2 AND amount <> $1", lowest, EXHAUSTED)
    await fetch(
        pool,
        """INSERT INTO webhook_thresholds (account, event, amount, armed)
           SELECT id, $2, $1, available + held >= $1 FROM accounts a
            WHERE EXISTS (SELECT 1 FROM webhooks w WHERE w.account = a.id)
              AND NOT EXISTS (SELECT 1 FROM webhook_thresholds t WHERE t.account = a.id AND t.event = $2)
           ON CONFLICT DO NOTHING""",
        lowest,
        EXHAUSTED,
    )


async def has_turn(pool: Pool, seconds: float) -> bool:
    """Whether no process has looked within the last `seconds`; if so, this one does."""
    turn = await fetchval(
        pool,
        """UPDATE webhook_looks SET looked_at = clock_timestamp()
            WHERE looked_at < clock_timestamp() - $1 * interval '1 second' RETURNING true""",
        seconds,
    )
    return turn is not None


async def moved(pool: Pool, limit: int) -> list[int]:
    """Accounts of which a threshold is not armed as their balance says, at most `limit`; nothing is locked."""
    rows = await fetch(
        pool,
        """SELECT DISTINCT t.account FROM webhook_thresholds t JOIN accounts a ON a.id = t.account
            WHERE t.armed <> (a.available + a.held >= t.amount) ORDER BY t.account LIMIT $1""",
        limit,
    )
    return [row["account"] for row in rows]


async def compare(connection: Connection, account: int) -> list[asyncpg.Record]:
    """Arm what the balance is above, and return what it fell below since the last time: `event` and `amount`.

    In a transaction, which has the account's row until it ends: so each fall is returned once, whoever compares.
    """
    rows = await connection.fetch(
        """UPDATE webhook_thresholds SET armed = NOT armed
            WHERE account = $1 AND armed <> ($2 >= amount) RETURNING event, amount, armed""",
        account,
        await _balance(connection, account),
    )
    return sorted((row for row in rows if not row["armed"]), key=lambda row: -row["amount"])


async def _balance(connection: Connection, account: int) -> int:
    """Held credit counts: it is not spent yet, and may come back."""
    row = await usage.locked(connection, account)
    return int(row["available"] + row["held"])
