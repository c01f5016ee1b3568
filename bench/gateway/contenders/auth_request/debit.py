"""Takes a call's price from the account of its key: `python -m …contenders.auth_request.debit PORT DATABASE`."""

import asyncio
import hashlib
import importlib
import sys

import asyncpg
from aiohttp import web

from nijika.database import Connection

PRICE = 10_000
BALANCE = 10**15
CONNECTIONS = 10

_TABLES = """
CREATE TABLE accounts (id bigserial PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0)) WITH (fillfactor = 50);
CREATE TABLE keys (digest bytea PRIMARY KEY, account bigint NOT NULL REFERENCES accounts)
"""
_DEBIT = """
UPDATE accounts SET balance = balance - $2 FROM keys
 WHERE keys.digest = $1 AND accounts.id = keys.account AND balance >= $2 RETURNING balance
"""


async def enrol(connection: Connection, key: str) -> None:
    """Tables, and a rich account with a key."""
    await connection.execute(_TABLES)
    account = await connection.fetchval("INSERT INTO accounts (balance) VALUES ($1) RETURNING id", BALANCE)
    await connection.execute("INSERT INTO keys (digest, account) VALUES ($1, $2)", _digest(key), account)


async def _serve(port: int, url: str) -> None:
    async with asyncpg.create_pool(url, min_size=CONNECTIONS, max_size=CONNECTIONS, reset=_keep) as pool:

        async def debit(request: web.Request) -> web.Response:
            left = await pool.fetchval(_DEBIT, _digest(request.headers.get("X-API-Key", "")), PRICE)
            return web.Response(status=403 if left is None else 204)

        app = web.Application()
        app.router.add_get("/debit", debit)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
        await asyncio.Event().wait()


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


async def _keep(_: object) -> None:
    """No state is left in a session, so none is reset: one round trip less."""


if __name__ == "__main__":
    # By name: whoever only enrols does not need it.
    importlib.import_module("uvloop").run(_serve(int(sys.argv[1]), sys.argv[2]))
