"""What one run is made of: how long, how hard, at which prices."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from nijika.credits import MICRO

LOOPBACK = "127.0.0.1"
LEASE_SECONDS = 2.0

Event = Literal["kill", "crash", "pause"]
"""A gateway gets SIGKILL; PostgreSQL crashes; a gateway stands still for longer than its lease."""

DECK: tuple[Event, ...] = ("kill", "kill", "kill", "kill", "kill", "kill", "crash", "pause")


@dataclass(frozen=True)
class Price:
    """What a route holds, in micro-credits; `metered`: it captures what the worker reports."""

    hold: int
    metered: bool


PRICES: Mapping[str, Price] = MappingProxyType(
    {"/api/plain": Price(1 * MICRO, metered=False), "/api/metered": Price(2 * MICRO, metered=True)}
)
"""By path, which is also what the ledger calls the route."""


@dataclass(frozen=True)
class Plan:
    """Callers call for `seconds`, and on until `answers_min` of them have a complete success.

    `deck` is dealt again and again, shuffled by `seed`, with a pause between two events. `keyed_share` of
    the calls have an Idempotency-Key. `broken` names a ledger of broken.py. `durable` False spares fsync: the data then survive a crash of PostgreSQL, but not one of the
    machine. What the dead have left must be refunded `sweep_seconds` after the last call.
    """

    seed: int
    seconds: float = 40
    answers_min: int = 300
    gateways: int = 2
    callers: int = 48
    keyed_share: float = 0.35
    broken: str | None = None
    durable: bool = True
    sweep_seconds: float = 4 * LEASE_SECONDS
    deck: tuple[Event, ...] = DECK
    gap_seconds: tuple[float, float] = (0.4, 1.6)
