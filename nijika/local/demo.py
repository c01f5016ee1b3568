"""The demo: PostgreSQL, the worker and the gateway on this machine, an account with credit, and the line to try."""

import asyncio
import shlex
import sys
from contextlib import suppress
from pathlib import Path

import asyncpg
import uvloop

from nijika import credits, request_id
from nijika.config import Config
from nijika.database import Connection
from nijika.errors import StartError
from nijika.ledger.grant import grant
from nijika.local import ground, worker
from nijika.local.serving import address, bring_up_to_date, serve
from nijika.local.watch import together
from nijika.rules import is_loopback
from nijika.server import bind
from nijika.store import keys, users
from nijika.store.vault import Vault

NAME = "demo"
UPSTREAM = "removebg"


def run(config: Config, data: Path, *, port: int | None, kind: worker.Kind) -> None:
    """Run everything until SIGINT or SIGTERM, then stop all of it. StartError if something cannot start.

    Main thread only.
    """
    if UPSTREAM not in config.upstreams:
        raise StartError(f"The demo starts a worker for [upstreams.{UPSTREAM}], and config.toml has no such table.")
    with bind(config.server.host, config.server.port if port is None else port) as sock:
        _tell("starting PostgreSQL and the worker …")
        with (
            worker.started(kind) as process,
            together(process, "The worker ended by itself, and the demo with it. Start it again."),
            ground.database(_embedded(config), data, lasting=True, progress=_tell) as database_url,
        ):
            config = _at(config, address(sock), worker.address(process))
            user, key = asyncio.run(_account(config, database_url))
            demo_user = button(config.server.host, user)
            uvloop.run(serve(config, database_url, sock, lambda: _announce(config, key), demo_user=demo_user))
            _tell("stopping …")


def button(host: str, user: int) -> int | None:
    """The user for "Continue as demo": it asks for no proof of who presses it, so it is for this machine alone."""
    return user if is_loopback(host) else None


def configuration_file() -> Path:
    """config.toml of this folder, or the one that comes with the package."""
    own = Path("config.toml")
    return own if own.exists() else ground.packaged("config.toml")


def sample() -> Path:
    """The picture to try."""
    return ground.packaged("samples/mug.jpg")


def _embedded(config: Config) -> Config:
    return config.model_copy(update={"database": config.database.model_copy(update={"url": "embedded"})})


def _at(config: Config, url: str, worker_url: str) -> Config:
    """The configuration for the addresses that there really are."""
    upstream = config.upstreams[UPSTREAM].model_copy(update={"urls": (worker_url,), "headers": {}})
    return config.model_copy(
        update={
            "server": config.server.model_copy(update={"public_url": url}),
            "upstreams": {**config.upstreams, UPSTREAM: upstream},
        }
    )


async def _account(config: Config, database_url: str) -> tuple[int, str]:
    """The demo's user and key; account and credit are made at the first start."""
    await bring_up_to_date(database_url)
    vault = Vault(config.server.secrets)
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            user = await users.named(connection, NAME)
            if user is None:
                user, account = await users.add(connection, name=NAME, email=None, role="admin")
                await grant(connection, request_id.make(), account, config.credits.signup_bonus, "signup")
            row = await users.one(connection, user)
            assert row is not None
            return user, await _key(connection, vault, row["account"])
    finally:
        await connection.close()


async def _key(connection: Connection, vault: Vault, account: int) -> str:
    """A living key that can be shown again, or else a new one."""
    for row in await keys.of_account(connection, account):
        if row["revoked_at"] is not None or row["expires_at"] is not None:
            continue
        text = vault.open(row["sealed"]) if row["sealed"] else None
        if text is not None:
            return text
    return (await keys.make(connection, vault, account=account, name="demo")).text


def _announce(config: Config, key: str) -> None:
    url = config.server.public_url
    picture = sample()
    with suppress(ValueError):
        picture = picture.relative_to(Path.cwd())
    price = next((route.price.hold for plugin in config.routes for route in plugin.routes() if route.upstream), 0)
    print(
        f"""
nijika is listening on {url}

  page       {url}/   (sign in with “Continue as demo”)
  account    {NAME}, made with {credits.show(config.credits.signup_bonus)} credits
  key        {key}
  balance    curl -H 'X-API-Key: {key}' {url}/api/account

Cut out a picture ({credits.show(price)} credits; look at cutout.png afterwards):

  curl -D - -o cutout.png -H 'X-API-Key: {key}' \\
    -F {shlex.quote(f"image=@{picture}")} {url}/api/removebg

Ctrl-C stops everything; the next start finds the same account.
""",
        flush=True,
    )


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
