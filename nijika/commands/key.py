"""`nijika key`: the keys with which programs call."""

import argparse
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from nijika.commands.setting import Parsers, Work, parser, show, table, user, working
from nijika.errors import CommandError
from nijika.store import keys
from nijika.store.vault import make_key

COLUMNS = ("id", "name", "key", "scopes", "expires", "revoked", "created")


DAYS_MIN, DAYS_MAX = 0.01, 36_500


def add_to(parsers: Parsers) -> None:
    """The commands of this noun."""
    nouns = parsers.add_parser("key", help="add, list or revoke keys", allow_abbrev=False).add_subparsers(
        required=True, metavar="COMMAND"
    )
    add = parser(nouns, "add", "make a key for a user, and print it", _add, json=True)
    add.add_argument("user", metavar="USER", help="number, e-mail or name")
    add.add_argument("--name", default="key", metavar="N")
    add.add_argument("--scope", action="append", metavar="PATH", help="a route it may call; default: all; repeatable")
    add.add_argument("--days", type=float, metavar="D", help="how long it is valid; default: for ever")
    listed = parser(nouns, "list", "list a user's keys", _list, json=True)
    listed.add_argument("user", metavar="USER", help="number, e-mail or name")
    revoke = parser(nouns, "revoke", "end a key for ever", _revoke, json=True)
    revoke.add_argument("key", type=int, metavar="ID", help="its number in `nijika key list`")


async def make(
    work: Work, account: int, name: str, *, scopes: list[str] | None = None, expires_at: datetime | None = None
) -> str:
    """Make a key, store it, and return its text."""
    text = make_key()
    await keys.add(
        work.connection,
        account=account,
        name=name,
        digest=work.vault.digest(text),
        sealed=work.vault.seal(text),
        hint=text[-4:],
        scopes=scopes,
        expires_at=expires_at,
    )
    return text


def _add(arguments: argparse.Namespace) -> int:
    if arguments.days is not None and not DAYS_MIN <= arguments.days <= DAYS_MAX:
        raise CommandError(f"A key is valid for {DAYS_MIN} to {DAYS_MAX} days.")

    async def add(work: Work) -> str:
        row = await user(work, arguments.user)
        known = {route.name for plugin in work.config.routes for route in plugin.routes()}
        for scope in arguments.scope or ():
            if scope not in known:
                raise CommandError(f'There is no route "{scope}". `nijika check` shows all.')
        expires_at = None if arguments.days is None else datetime.now(UTC) + timedelta(days=arguments.days)
        return await make(work, row["account"], arguments.name, scopes=arguments.scope, expires_at=expires_at)

    text = working(arguments, add)
    show(arguments, {"api_key": text}, [text])
    return 0


def _list(arguments: argparse.Namespace) -> int:
    async def listed(work: Work) -> list[dict[str, Any]]:
        row = await user(work, arguments.user)
        return [row_of(record) for record in await keys.of_account(work.connection, row["account"])]

    rows = working(arguments, listed)
    show(arguments, rows, table(rows, COLUMNS))
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    if not working(arguments, lambda work: keys.revoke(work.connection, arguments.key)):
        raise CommandError(f"There is no living key {arguments.key}. `nijika key list USER` shows a user's keys.")
    show(arguments, {"revoked": arguments.key}, [f"Key {arguments.key} is revoked."])
    return 0


def row_of(record: asyncpg.Record) -> dict[str, Any]:
    """A key as commands print it: its text only hinted at."""
    return {
        "id": record["id"],
        "name": record["name"],
        "key": f"nj_live_…{record['hint']}",
        "scopes": " ".join(record["scopes"]) if record["scopes"] is not None else None,
        "expires": record["expires_at"],
        "revoked": record["revoked_at"],
        "created": record["created_at"],
    }
