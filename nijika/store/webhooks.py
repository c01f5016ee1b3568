"""Where an account wants to be told what becomes of its credit: addresses, the events they want, sealed secrets."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import asyncpg

from nijika.database import Connection

StoppedBy = Literal["holder", "gone", "failing"]
"""Who had enough: the account's holder, the receiver (410 Gone), or nobody ever answered well."""


async def add(connection: Connection, *, account: int, url: str, events: Sequence[str], sealed: bytes) -> int:
    """Store a webhook; returns its id."""
    webhook: int = await connection.fetchval(
        "INSERT INTO webhooks (account, url, events, sealed) VALUES ($1, $2, $3, $4) RETURNING id",
        account,
        url,
        events,
        sealed,
    )
    return webhook


async def of_account(connection: Connection, account: int) -> list[asyncpg.Record]:
    """All webhooks of an account, the oldest first, the sealed secrets included; `is_overlapping`: two of them sign."""
    return await connection.fetch(f"{_SELECT} WHERE account = $1 ORDER BY id", account)


async def one(connection: Connection, account: int, webhook: int) -> asyncpg.Record | None:
    """The webhook of this id, if it is this account's; locked until the transaction ends."""
    return await connection.fetchrow(f"{_SELECT} WHERE id = $1 AND account = $2 FOR UPDATE", webhook, account)


async def counts(connection: Connection, account: int) -> list[asyncpg.Record]:
    """All webhooks of an account without paths and secrets, with how many deliveries are `waiting` and `failed`."""
    return await connection.fetch(
        """SELECT w.id, substring(w.url from '^[a-z]+://[^/?#]+') AS origin, w.events, w.stopped_at, w.stopped_by,
                  w.succeeded_at, w.failing_since, w.created_at,
                  count(d.id) FILTER (WHERE d.state = 'waiting') AS waiting,
                  count(d.id) FILTER (WHERE d.state = 'failed') AS failed
             FROM webhooks w LEFT JOIN webhook_deliveries d ON d.webhook = w.id
            WHERE w.account = $1 GROUP BY w.id ORDER BY w.id""",
        account,
    )


async def is_any_in_trouble(connection: Connection, account: int) -> bool:
    """Whether a webhook of the account fails, or was stopped by somebody else than its holder."""
    return bool(
        await connection.fetchval(
            """SELECT EXISTS (SELECT 1 FROM webhooks
                               WHERE account = $1 AND stopped_by IS DISTINCT FROM 'holder'
                                 AND (failing_since IS NOT NULL OR stopped_at IS NOT NULL))""",
            account,
        )
    )


async def change(connection: Connection, webhook: int, *, url: str, events: Sequence[str]) -> None:
    """Send to another address, or of other events, from now on; what is under way is sent there as well."""
    await connection.execute(
        """UPDATE webhook_deliveries SET claim = NULL, next_at = now()
            WHERE webhook = $1 AND claim IS NOT NULL
              AND EXISTS (SELECT 1 FROM webhooks WHERE id = $1 AND url <> $2)""",
        webhook,
        url,
    )
    await connection.execute("UPDATE webhooks SET url = $2, events = $3 WHERE id = $1", webhook, url, events)


async def rotate(connection: Connection, webhook: int, sealed: bytes, *, overlap_hours: int) -> None:
    """Sign with another secret, and with the one before for `overlap_hours` more."""
    await connection.execute(
        """UPDATE webhooks
              SET sealed = $2, former_sealed = CASE WHEN $3 > 0 THEN sealed END,
                  former_until = CASE WHEN $3 > 0 THEN now() + make_interval(hours => $3) END
            WHERE id = $1""",
        webhook,
        sealed,
        overlap_hours,
    )


async def lock(connection: Connection, webhook: int) -> None:
    """Nobody else changes it, or writes down what came of its deliveries, until the transaction ends."""
    await connection.execute("SELECT 1 FROM webhooks WHERE id = $1 FOR NO KEY UPDATE", webhook)


async def succeeded(connection: Connection, webhook: int) -> None:
    """A message has arrived there."""
    await connection.execute("UPDATE webhooks SET succeeded_at = now(), failing_since = NULL WHERE id = $1", webhook)


async def fails(connection: Connection, webhook: int) -> None:
    """A message has not arrived there."""
    await connection.execute(
        "UPDATE webhooks SET failing_since = coalesce(failing_since, now()) WHERE id = $1", webhook
    )


async def has_succeeded(connection: Connection, webhook: int, since: datetime) -> bool:
    """Whether a message has arrived there since a moment."""
    return bool(await connection.fetchval("SELECT succeeded_at >= $2 FROM webhooks WHERE id = $1", webhook, since))


async def stop(connection: Connection, webhook: int, *, by: StoppedBy) -> None:
    """Send nothing there any more; what waits has failed."""
    await connection.execute(
        "UPDATE webhooks SET stopped_at = now(), stopped_by = $2 WHERE id = $1 AND stopped_at IS NULL", webhook, by
    )
    await connection.execute(
        """UPDATE webhook_deliveries
              SET state = 'failed', next_at = NULL, claim = NULL, error = 'The webhook was stopped before it arrived.'
            WHERE webhook = $1 AND state = 'waiting'""",
        webhook,
    )


async def resume(connection: Connection, webhook: int) -> None:
    """Send there again what happens from now on."""
    await connection.execute(
        "UPDATE webhooks SET stopped_at = NULL, stopped_by = NULL, failing_since = NULL WHERE id = $1", webhook
    )


async def remove(connection: Connection, webhook: int) -> None:
    """Forget a webhook and all that was sent there."""
    await connection.execute("DELETE FROM webhooks WHERE id = $1", webhook)


async def forget(connection: Connection, account: int) -> None:
    """Forget all webhooks of an account, their messages, and its thresholds."""
    await connection.execute("DELETE FROM webhook_thresholds WHERE account = $1", account)
    await connection.execute("DELETE FROM webhooks WHERE account = $1", account)


_SELECT = """SELECT id, account, url, events, sealed, former_sealed, former_until, stopped_at, stopped_by, succeeded_at,
                    failing_since, created_at, coalesce(former_until > now(), false) AS is_overlapping
               FROM webhooks"""
