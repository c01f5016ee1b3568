"""What most commands take, and the way in which they reach the database."""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from nijika import credits
from nijika.config import Config, load
from nijika.database import BOUNCED, OUTAGE, Connection, connect, unreachable
from nijika.errors import CommandError, Problem
from nijika.local import ground
from nijika.store import users
from nijika.store.migrate import migrate
from nijika.store.vault import Vault

T = TypeVar("T")
Parsers = Any  # argparse's own type for them is private
CELL_CHARACTERS_MAX = 60

Run = Callable[[argparse.Namespace], int]


@dataclass(frozen=True)
class Work:
    """What a command works with, once the database is there and up to date."""

    config: Config
    connection: Connection
    vault: Vault


def parser(parsers: Parsers, name: str, help: str, run: Run, *, json: bool = False) -> argparse.ArgumentParser:
    """A command's parser with the options that all have; `json` for those that print data."""
    made: argparse.ArgumentParser = parsers.add_parser(
        name, help=help, description=help[:1].upper() + help[1:] + ".", allow_abbrev=False
    )
    made.add_argument("--config", type=Path, default=Path("config.toml"), metavar="F", help="default: config.toml")
    made.add_argument("--data", type=Path, metavar="DIR", help="what nijika keeps here; default: data/ beside F")
    if json:
        made.add_argument("--json", action="store_true", help="print JSON")
    made.set_defaults(run=run)
    return made


def configured(arguments: argparse.Namespace) -> tuple[Config, Path]:
    """The configuration, with its secret, and the data folder."""
    config = load(arguments.config)
    data = ground.data_directory(config, arguments.data)
    return ground.with_secret(config, data), data


def working(arguments: argparse.Namespace, work: Callable[[Work], Awaitable[T]], *, transaction: bool = True) -> T:
    """Do `work` beside a running gateway or without one, all of it or nothing unless `transaction` is False.

    CommandError if the database is away.
    """
    config, data = configured(arguments)

    async def connected(url: str) -> T:
        try:
            connection = await connect(url, pgbouncer=config.database.pgbouncer)
        except (*OUTAGE, asyncpg.PostgresError) as error:
            raise CommandError(str(unreachable(error))) from None
        try:
            await migrate(connection)
            async with connection.transaction() if transaction else nullcontext():
                return await work(Work(config, connection, Vault(config.server.secrets)))
        except Problem as problem:
            raise CommandError(str(problem)) from None
        except asyncpg.DataError as error:
            raise CommandError(f"The database cannot take this: {error}") from None
        except BOUNCED as error:
            raise CommandError(str(unreachable(error))) from None
        finally:
            await connection.close()

    with ground.database(config, data, lasting=False) as url:
        return asyncio.run(connected(url))


async def user(work: Work, who: str) -> asyncpg.Record:
    """The one user whom `who` (id, e-mail or name) names; CommandError if there is none, or more than one."""
    found = await users.find(work.connection, who)
    exact = [row for row in found if str(row["id"]) == who] or found
    if not exact:
        raise CommandError(f'There is no user "{who}". `nijika user list` shows all.')
    if len(exact) > 1:
        ids = ", ".join(str(row["id"]) for row in exact)
        raise CommandError(f'More than one user is called "{who}"; say which by number: {ids}.')
    return exact[0]


def credit(text: str) -> int:
    """An amount from the command line; CommandError if it is none."""
    try:
        return credits.parse(text)
    except ValueError as error:
        raise CommandError(f'"{text}" is no amount: {error}.') from None


def show(arguments: argparse.Namespace, data: object, lines: Iterable[str]) -> None:
    """Print `data` as JSON if that was asked for, else the lines."""
    if arguments.json:
        json.dump(data, sys.stdout, indent=2, default=_json)
        print()
        return
    for line in lines:
        print(line)


def _json(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> list[str]:
    """Rows under their columns' names, as wide as need be."""
    cells = [list(columns), *([_cell(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def _cell(value: object) -> str:
    if value is None:
        return "-"
    # A name must not move the cursor of whoever lists it.
    text = "".join(character if character.isprintable() else "?" for character in str(value))
    return text if len(text) <= CELL_CHARACTERS_MAX else f"{text[: CELL_CHARACTERS_MAX - 1]}…"
