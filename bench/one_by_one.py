"""Ledgers as they are usually built, to compare with: each call by itself, as a transaction or as one statement."""

from uuid import UUID

from nijika.database import Pool
from nijika.ledger import Hold, Settlement


class Transactions:
    """Each hold and each settlement is a transaction of three statements."""

    def __init__(self, pool: Pool, owner: UUID) -> None:
        self._pool = pool
        self._owner = owner

    async def hold(self, hold: Hold) -> None:
        """Debit, charge, journal entry."""
        async with self._pool.acquire() as connection, connection.transaction():
            debited = await connection.fetchval(
                """UPDATE accounts SET available = available - $2, held = held + $2
                    WHERE id = $1 AND available >= $2 RETURNING true""",
                hold.account,
                hold.amount,
            )
            assert debited, "the bench gives enough credit"
            await connection.execute(
                """INSERT INTO charges (id, account, key, held, route, owner, deadline)
                   VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7 * interval '1 second')""",
                hold.id,
                hold.account,
                hold.key,
                hold.amount,
                hold.route,
                self._owner,
                hold.seconds,
            )
            await connection.execute(
                """INSERT INTO journal (id, step, kind, account, available, held, granted, spent)
                   VALUES ($1, 0, 'hold', $2, -$3::bigint, $3, 0, 0)""",
                hold.id,
                hold.account,
                hold.amount,
            )

    async def settle(self, order: Settlement) -> None:
        """Charge, credit, journal entry."""
        async with self._pool.acquire() as connection, connection.transaction():
            held = await connection.fetchval(
                """UPDATE charges SET state = 'captured', captured = $2, status = $3, settled_at = clock_timestamp()
                    WHERE id = $1 AND state = 'held' RETURNING held""",
                order.id,
                order.captured,
                order.status,
            )
            await connection.execute(
                """UPDATE accounts SET held = held - $2, available = available + $2 - $3, spent = spent + $3
                    WHERE id = $1""",
                order.account,
                held,
                order.captured,
            )
            await connection.execute(
                """INSERT INTO journal (id, step, kind, account, available, held, granted, spent)
                   VALUES ($1, 1, 'capture', $2, $3::bigint - $4, -$3, 0, $4)""",
                order.id,
                order.account,
                held,
                order.captured,
            )


class Statements:
    """Each hold and each settlement is one statement, with the rest in its common table expressions."""

    def __init__(self, pool: Pool, owner: UUID) -> None:
        self._pool = pool
        self._owner = owner

    async def hold(self, hold: Hold) -> None:
        """One statement, one commit."""
        debited = await self._pool.fetchval(
            """WITH debit AS (
                   UPDATE accounts SET available = available - $4, held = held + $4
                    WHERE id = $2 AND available >= $4
                   RETURNING available),
               charge AS (
                   INSERT INTO charges (id, account, key, held, route, owner, deadline)
                   SELECT $1, $2, $3, $4, $5, $6, clock_timestamp() + $7 * interval '1 second' FROM debit),
               entry AS (
                   INSERT INTO journal (id, step, kind, account, available, held, granted, spent)
                   SELECT $1, 0, 'hold', $2, -$4, $4, 0, 0 FROM debit)
               SELECT available FROM debit""",
            hold.id,
            hold.account,
            hold.key,
            hold.amount,
            hold.route,
            self._owner,
            hold.seconds,
        )
        assert debited is not None, "the bench gives enough credit"

    async def settle(self, order: Settlement) -> None:
        """One statement, one commit."""
        await self._pool.fetchval(
            """WITH charge AS (
                   UPDATE charges
                      SET state = 'captured', captured = $2, status = $3, settled_at = clock_timestamp()
                    WHERE id = $1 AND state = 'held'
                   RETURNING account, held),
               credit AS (
                   UPDATE accounts a
                      SET held = a.held - c.held, available = a.available + c.held - $2, spent = a.spent + $2
                     FROM charge c WHERE a.id = c.account
                   RETURNING a.available),
               entry AS (
                   INSERT INTO journal (id, step, kind, account, available, held, granted, spent)
                   SELECT $1, 1, 'capture', account, held - $2, -held, 0, $2 FROM charge)
               SELECT available FROM credit""",
            order.id,
            order.captured,
            order.status,
        )
