"""`nijika key`: the keys with which programs call."""

import argparse
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from nijika import credits
from nijika.commands.setting import Parsers, Work, credit, parser, show, table, user, working
from nijika.errors import CommandError
from nijika.store import caps, keys

COLUMNS = ("id", "name", "key", "scopes", "per_day", "per_month", "expires", "revoked", "created")


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
    _caps(add, "default: no cap")
    listed = parser(nouns, "list", "list a user's keys", _list, json=True)
    listed.add_argument("user", metavar="USER", help="number, e-mail or name")
    cap = parser(nouns, "cap", "bound what a key may spend in a day or month (UTC)", _cap, json=True)
    cap.add_argument("key", type=int, metavar="ID", help="its number in `nijika key list`")
    _caps(cap, 'left out: as it is; "none": no cap')
    revoke = parser(nouns, "revoke", "end a key for ever", _revoke, json=True)
    revoke.add_argument("key", type=int, metavar="ID", help="its number in `nijika key list`")


def _caps(command: argparse.ArgumentParser, otherwise: str) -> None:
    for period in ("day", "month"):
        text = f"spend at most N credits a {period}; {otherwise}"
        command.add_argument(f"--per-{period}", metavar="N", help=text)


async def make(
    work: Work,
    account: int,
    name: str,
    *,
    scopes: list[str] | None = None,
    expires_at: datetime | None = None,
    day_max: int | None = None,
    month_max: int | None = None,
) -> str:
    """Make a key, store it, and return its text."""
    made = await keys.make(
        work.connection, work.vault, account=account, name=name, scopes=scopes, expires_at=expires_at
    )
    await caps.put(work.connection, made.id, day_max=day_max, month_max=month_max)
    return made.text


def _add(arguments: argparse.Namespace) -> int:
    if arguments.days is not None and not DAYS_MIN <= arguments.days <= DAYS_MAX:
        raise CommandError(f"A key is valid for {DAYS_MIN} to {DAYS_MAX} days.")

    day_max, month_max = _amounts(arguments)

    async def add(work: Work) -> str:
        row = await user(work, arguments.user)
        known = {route.name for plugin in work.config.routes for route in plugin.routes()}
        for scope in arguments.scope or ():
            if scope not in known:
                raise CommandError(f'There is no route "{scope}". `nijika check` shows all.')
        expires_at = None if arguments.days is None else datetime.now(UTC) + timedelta(days=arguments.days)
        return await make(
            work,
            row["account"],
            arguments.name,
            scopes=arguments.scope,
            expires_at=expires_at,
            day_max=day_max,
            month_max=month_max,
        )

    text = working(arguments, add)
    show(arguments, {"api_key": text}, [text])
    return 0


def _list(arguments: argparse.Namespace) -> int:
    async def listed(work: Work) -> list[dict[str, Any]]:
        row = await user(work, arguments.user)
        capped = await caps.of_account(work.connection, row["account"])
        found = await keys.of_account(work.connection, row["account"])
        return [row_of(record, capped.get(record["id"])) for record in found]

    rows = working(arguments, listed)
    show(arguments, rows, table(rows, COLUMNS))
    return 0


def _cap(arguments: argparse.Namespace) -> int:
    texts = {"day_max": arguments.per_day, "month_max": arguments.per_month}
    asked = {name: None if text == "none" else credit(text) for name, text in texts.items() if text is not None}

    async def cap(work: Work) -> dict[str, int | None]:
        if not await keys.exists(work.connection, arguments.key):
            raise CommandError(f"There is no key {arguments.key}. `nijika key list USER` shows a user's keys.")
        bounds = await caps.of_key(work.connection, arguments.key) | asked
        await caps.put(work.connection, arguments.key, **bounds)
        return bounds

    day_max, month_max = working(arguments, cap).values()
    told = {"key": arguments.key, "per_day": _shown(day_max), "per_month": _shown(month_max)}
    bounds = [f"{told[name]} a {name.removeprefix('per_')}" for name in ("per_day", "per_month") if told[name]]
    show(arguments, told, [f"Key {arguments.key} may spend {' and '.join(bounds) or 'all that its account has'}."])
    return 0


def _amounts(arguments: argparse.Namespace) -> tuple[int | None, int | None]:
    day, month = (None if text is None else credit(text) for text in (arguments.per_day, arguments.per_month))
    return day, month


def _shown(amount: int | None) -> str | None:
    return None if amount is None else credits.show(amount)


def _revoke(arguments: argparse.Namespace) -> int:
    if not working(arguments, lambda work: keys.revoke(work.connection, arguments.key)):
        raise CommandError(f"There is no living key {arguments.key}. `nijika key list USER` shows a user's keys.")
    show(arguments, {"revoked": arguments.key}, [f"Key {arguments.key} is revoked."])
    return 0


def row_of(record: asyncpg.Record, cap: asyncpg.Record | None) -> dict[str, Any]:
    """A key as commands print it: its text only hinted at."""
    return {
        "id": record["id"],
        "name": record["name"],
        "key": f"nj_live_…{record['hint']}",
        "scopes": " ".join(record["scopes"]) if record["scopes"] is not None else None,
        "per_day": None if cap is None else _shown(cap["day_max"]),
        "per_month": None if cap is None else _shown(cap["month_max"]),
        "expires": record["expires_at"],
        "revoked": record["revoked_at"],
        "created": record["created_at"],
    }
