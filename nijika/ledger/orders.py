"""What a ledger is asked to do: hold, settle, note a delivery; and how each turns out."""

from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from nijika.ledger.fingerprint import Fingerprint


@dataclass(frozen=True, slots=True)
class Hold:
    """Hold `amount` micro-credits of `account`, for at most `seconds`; `id` is the request's.

    `idempotency_key` makes it one of several attempts at the call of this `fingerprint`.
    """

    id: UUID
    account: int
    key: int
    route: str
    amount: int
    seconds: float
    idempotency_key: str | None = None
    fingerprint: Fingerprint | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """Capture `captured` micro-credits of a charge and give the rest back; None refunds it all.

    `digest` is that of the request's target and body, for later attempts under the same idempotency key.
    `route` and `held` (micro-credits) are those of the hold, for the metrics alone.
    """

    id: UUID
    account: int
    captured: int | None
    status: int | None = None
    reason: str | None = None
    digest: bytes | None = None
    route: str = "-"
    held: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """The answer of this charge has `arrived` at its caller, who needs no re-run, or is lost."""

    id: UUID
    account: int
    idempotency_key: str
    arrived: bool


Order = Hold | Settlement | Delivery


class Outcome(NamedTuple):
    """How an order turned out: a verdict of `apply_batch`, and what the account has available now (None: unknown).

    `held` is what a hold took, 0 for a free re-run; `notes` say more about unusual verdicts.
    """

    verdict: str
    available: int | None
    held: int = 0
    notes: dict[str, Any] | None = None
