"""Who calls: most accounts have more credit than a run can cost, a few run dry soon."""

from dataclasses import dataclass

import asyncpg

from nijika import request_id
from nijika.credits import MICRO
from nijika.ledger.grant import grant
from nijika.store import keys, users
from nijika.store.migrate import migrate
from nijika.store.vault import Vault, make_key
from tests.crash.configuration import SECRET

_RICH, _RICH_AMOUNT = 9, 1_000_000 * MICRO
_POOR, _POOR_AMOUNT = 3, 20 * MICRO


@dataclass(frozen=True)
class Customers:
    """The API keys of those who can pay, and of those who soon cannot."""

    rich: list[str]
    poor: list[str]


async def enrol(connection: asyncpg.Connection) -> Customers:
    """Lay out the schema, and open the accounts."""
    await migrate(connection)
    return Customers(
        rich=[await _open(connection, _RICH_AMOUNT) for _ in range(_RICH)],
        poor=[await _open(connection, _POOR_AMOUNT) for _ in range(_POOR)],
    )


async def _open(connection: asyncpg.Connection, amount: int) -> str:
    key, vault = make_key(), Vault([SECRET])
    _, account = await users.add(connection, name=f"customer {key[-6:]}", email=None, role="user")
    await grant(connection, request_id.make(), account, amount, "crash")
    digest, sealed = vault.digest(key), vault.seal(key)
    await keys.add(connection, account=account, name="k", digest=digest, sealed=sealed, hint=key[-4:])
    return key
