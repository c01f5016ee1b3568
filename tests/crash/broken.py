"""Ledgers with one mistake each: `python -m tests.crash.broken NAME …` is tests.crash.alone with one of them.

A harness that finds nothing has only shown something if it finds these.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import asyncpg

from nijika.config import load
from nijika.ledger import Charge, Hold, Ledger
from tests.crash.alone import main

_LATE_SECONDS = 1.0
_refund, _capture = Charge.refund, Charge.capture
_late: "set[asyncio.Task[None]]" = set()


def deliver_first() -> None:
    """The answer goes out, and the charge is captured when there is time."""

    async def later(charge: Charge, amount: int, status: int) -> None:
        await asyncio.sleep(_LATE_SECONDS)
        await _capture(charge, amount, status=status)

    async def capture(charge: Charge, amount: int, *, status: int) -> None:
        task = asyncio.create_task(later(charge, amount, status))
        _late.add(task)
        task.add_done_callback(_late.discard)
        charge.state, charge.captured = "captured", amount

    _replace(Charge, capture=capture)


def capture_failures() -> None:
    """Whatever the worker did, the caller pays."""

    async def refund(charge: Charge, reason: str, *, status: int | None = None) -> None:
        await _capture(charge, charge.held, status=status or 500)

    _replace(Charge, refund=refund)


def never_settles() -> None:
    """A settlement is said to have happened."""

    async def capture(charge: Charge, amount: int, *, status: int) -> None:
        charge.state, charge.captured = "captured", amount

    async def refund(charge: Charge, reason: str, *, status: int | None = None) -> None:
        charge.state = "refunded"

    _replace(Charge, capture=capture, refund=refund)


def half_price() -> None:
    """Half of what is due is captured."""

    async def capture(charge: Charge, amount: int, *, status: int) -> None:
        await _capture(charge, amount // 2, status=status)

    _replace(Charge, capture=capture)


def forgetful() -> None:
    """Each attempt under an Idempotency-Key is a new call."""
    hold = Ledger.hold

    async def without_key(ledger: Ledger, order: Hold) -> Charge:
        return await hold(ledger, replace(order, idempotency_key=None))

    _replace(Ledger, hold=without_key)


def double() -> None:
    """What is captured leaves the account twice."""

    async def capture(charge: Charge, amount: int, *, status: int) -> None:
        await _capture(charge, amount, status=status)
        connection = await asyncpg.connect(_database_url())
        with suppress(asyncpg.CheckViolationError):  # there may be no credit left
            await connection.execute(
                """UPDATE accounts SET available = available - $2, spent = spent + $2
                    WHERE id = (SELECT account FROM charges WHERE id = $1)""",
                charge.id,
                amount,
            )
        await connection.close()

    _replace(Charge, capture=capture)


def _replace(owner: type, **methods: Callable[..., Awaitable[object]]) -> None:
    for name, method in methods.items():
        setattr(owner, name, method)


def _database_url() -> str:
    return load(Path(sys.argv[sys.argv.index("--config") + 1])).database.url


BROKEN: dict[str, Callable[[], None]] = {
    "deliver-first": deliver_first,
    "capture-failures": capture_failures,
    "never-settles": never_settles,
    "half-price": half_price,
    "forgetful": forgetful,
    "double": double,
}

if __name__ == "__main__":
    BROKEN[sys.argv.pop(1)]()
    sys.exit(main())
