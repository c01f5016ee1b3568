"""Messages on their way to webhooks: written down with what happened, and kept for a while as its history."""

from uuid import UUID

import asyncpg

from nijika.database import Connection, Pool, fetchval

FORGET_MAX = 500
BACKLOG_MAX = 100_000  # counting them is to cost little


async def put(connection: Connection, account: int, event: str, message: UUID, data: str) -> None:
    """Send a message to all webhooks of an account that want the event, once the transaction has committed."""
    await connection.execute(
        """INSERT INTO webhook_deliveries (webhook, message, event, data)
           SELECT w.id, $3, $2, $4
             FROM (SELECT id FROM webhooks
                    WHERE account = $1 AND stopped_at IS NULL AND $2 = ANY (events) ORDER BY id FOR SHARE) w""",
        account,
        event,
        message,
        data,
    )


async def put_to(connection: Connection, webhook: int, event: str, message: UUID, data: str) -> None:
    """Send a message to one webhook, whatever events it wants."""
    await connection.execute(
        "INSERT INTO webhook_deliveries (webhook, message, event, data) VALUES ($1, $2, $3, $4)",
        webhook,
        message,
        event,
        data,
    )


async def waiting(connection: Connection, webhook: int, event: str) -> int:
    """How many messages of an event wait for a webhook."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM webhook_deliveries WHERE webhook = $1 AND event = $2 AND state = 'waiting'",
        webhook,
        event,
    )
    return count


async def backlog(pool: Pool) -> int:
    """How many messages wait, whatever for; of very many no more than BACKLOG_MAX."""
    count: int = await fetchval(
        pool,
        "SELECT count(*) FROM (SELECT FROM webhook_deliveries WHERE next_at IS NOT NULL LIMIT $1) waiting",
        BACKLOG_MAX,
    )
    return count


async def lately(connection: Connection, account: int, event: str) -> int:
    """How many messages of an event the last hour has brought an account's webhooks."""
    count: int = await connection.fetchval(
        """SELECT count(*) FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook
            WHERE w.account = $1 AND d.event = $2 AND d.happened_at > now() - interval '1 hour'""",
        account,
        event,
    )
    return count


async def one(connection: Connection, account: int, delivery: int) -> asyncpg.Record | None:
    """The delivery of this id, if it is this account's: `is_under_way`, and whether its webhook `is_stopped`.

    In a transaction, until the end of which the webhook is not stopped.
    """
    return await connection.fetchrow(
        """SELECT d.id, d.claim IS NOT NULL AS is_under_way, w.stopped_at IS NOT NULL AS is_stopped
             FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook
            WHERE d.id = $1 AND w.account = $2 FOR SHARE OF w""",
        delivery,
        account,
    )


async def retry(connection: Connection, delivery: int) -> None:
    """Try it now; one that was over begins anew, with all of its attempts."""
    await connection.execute(
        """UPDATE webhook_deliveries
              SET attempts = CASE state WHEN 'waiting' THEN attempts ELSE 0 END, state = 'waiting', next_at = now()
            WHERE id = $1 AND claim IS NULL""",
        delivery,
    )


async def of_account(connection: Connection, account: int, *, before: int | None, limit: int) -> list[asyncpg.Record]:
    """At most `limit` deliveries to an account's webhooks, the latest first, from the one before id `before`."""
    return await connection.fetch(
        """SELECT d.id, d.message, d.event, d.data, d.happened_at, d.state, d.next_at, d.attempts, d.attempted_at,
                  d.status, d.milliseconds, d.error, d.claim IS NOT NULL AS is_under_way, w.url
             FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook
            WHERE w.account = $1 AND ($2::bigint IS NULL OR d.id < $2) ORDER BY d.id DESC LIMIT $3""",
        account,
        before,
        limit,
    )


async def forget_old(pool: Pool, days: int) -> None:
    """Forget what was over `days` ago, in small pieces: nothing may wait for this."""
    while await fetchval(pool, _FORGET, days, FORGET_MAX) == FORGET_MAX:
        pass


_FORGET = """
    WITH old AS (
        SELECT id FROM webhook_deliveries
         WHERE happened_at < now() - make_interval(days => $1) AND state <> 'waiting'
         ORDER BY happened_at LIMIT $2 FOR UPDATE SKIP LOCKED),
    gone AS (DELETE FROM webhook_deliveries d USING old WHERE d.id = old.id RETURNING 1)
    SELECT count(*) FROM gone"""
