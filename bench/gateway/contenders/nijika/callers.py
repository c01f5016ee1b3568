"""Accounts that can pay, and a key for each."""

from nijika import request_id
from nijika.credits import MICRO
from nijika.database import Connection
from nijika.ledger.grant import grant
from nijika.store import keys, users
from nijika.store.vault import Vault

AMOUNT = 1_000_000_000 * MICRO


async def enrol(connection: Connection, secret: str, accounts: int) -> list[str]:
    """The keys of so many new accounts."""
    vault = Vault([secret])
    async with connection.transaction():
        return [await _open(connection, vault, number) for number in range(accounts)]


async def _open(connection: Connection, vault: Vault, number: int) -> str:
    _, account = await users.add(connection, name=f"caller {number}", email=None, role="user")
    await grant(connection, request_id.make(), account, AMOUNT, "bench")
    return (await keys.make(connection, vault, account=account, name="bench")).text
