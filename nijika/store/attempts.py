"""An attempt to deliver a message: one process has it, and what came of it is written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from nijika.database import Connection, Pool, fetch

State = Literal["waiting", "delivered", "failed"]


@dataclass(frozen=True)
class Attempt:
    """A delivery that is this process's to try, for the `attempts`th time; `data` is JSON.

    `sealed` are the secrets to sign with: the webhook's own, and the former one while it goes on.
    """

    id: int
    claim: UUID
    webhook: int
    url: str
    sealed: tuple[bytes, ...]
    message: UUID
    event: str
    data: str
    happened_at: datetime
    attempts: int


@dataclass(frozen=True)
class Answer:
    """What came of an attempt: the receiver's `status`, if it gave one, and a sentence (`error`) if it was no success.

    `retry_after` is the time that the receiver asked for, in seconds.
    """

    milliseconds: int
    status: int | None = None
    error: str | None = None
    retry_after: float | None = None


async def begin(pool: Pool, limit: int, *, lease_seconds: float) -> list[Attempt]:
    """At most `limit` deliveries that are due, of each webhook one, and none of a webhook that is being sent to.

    What a suspended account is to be told waits. No other process gets them within the lease; after it, whoever has not
    told of them is believed dead.
    """
    rows = await fetch(pool, _CLAIM, limit, lease_seconds)
    return [Attempt(**{**row, "sealed": tuple(filter(None, row["sealed"]))}) for row in rows]


async def give_back(pool: Pool, claims: Sequence[UUID]) -> None:
    """Others may try these at once: this process ends."""
    await fetch(
        pool, "UPDATE webhook_deliveries SET claim = NULL, next_at = now() WHERE claim = ANY ($1)", list(claims)
    )


async def end(connection: Connection, attempt: Attempt, answer: Answer, state: State, seconds: float | None) -> bool:
    """Write down what came of it; one that is "waiting" is tried again in `seconds`. In a transaction.

    False if others took it over meanwhile: then what they find counts.
    """
    is_own = await connection.fetchval(
        """UPDATE webhook_deliveries
              SET claim = NULL, status = $3, milliseconds = $4, error = $5, state = $6,
                  next_at = now() + $7 * interval '1 second'
            WHERE id = $1 AND claim = $2 RETURNING true""",
        attempt.id,
        attempt.claim,
        answer.status,
        answer.milliseconds,
        answer.error,
        state,
        seconds,
    )
    return is_own is not None


_CLAIM = """
    WITH due AS (
        SELECT d.id, row_number() OVER (PARTITION BY d.webhook ORDER BY d.next_at, d.id) AS place
          FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook JOIN accounts a ON a.id = w.account
         WHERE d.next_at <= now() AND w.stopped_at IS NULL AND a.suspended_at IS NULL
           AND NOT EXISTS (SELECT 1 FROM webhook_deliveries o
                            WHERE o.webhook = d.webhook AND o.claim IS NOT NULL AND o.next_at > now())),
    taken AS (
        SELECT d.id FROM webhook_deliveries d JOIN due ON due.id = d.id
         WHERE due.place = 1 AND d.next_at <= now()
         ORDER BY d.next_at LIMIT $1 FOR UPDATE OF d SKIP LOCKED)
    UPDATE webhook_deliveries d
       SET claim = gen_random_uuid(), attempts = d.attempts + 1, attempted_at = now(),
           next_at = now() + $2 * interval '1 second'
      FROM taken, webhooks w WHERE d.id = taken.id AND w.id = d.webhook
    RETURNING d.id, d.claim, d.webhook, w.url, d.message, d.event, d.data, d.happened_at, d.attempts,
              ARRAY[w.sealed, CASE WHEN w.former_until > now() THEN w.former_sealed END] AS sealed"""
