"""`nijika user`: who has an account here."""

import argparse
import re
from functools import partial
from typing import Any

import asyncpg

from nijika import credits, oversight, request_id
from nijika.commands.key import make
from nijika.commands.setting import Parsers, Work, credit, parser, show, table, user, working
from nijika.errors import CommandError
from nijika.ledger.grant import grant
from nijika.store import audit, users
from nijika.store.sessions import ROLES

COLUMNS = ("id", "name", "email", "role", "account", "available", "held", "spent", "suspended")
NAME_CHARACTERS_MAX = 100
WHO = "number, e-mail or name"

_EMAIL = re.compile(r"[!-?A-~]{1,64}@[!-?A-~]{1,255}", re.ASCII)


def add_to(parsers: Parsers) -> None:
    """The commands of this noun."""
    nouns = parsers.add_parser(
        "user", help="add, list, show, suspend or resume users, change roles", allow_abbrev=False
    ).add_subparsers(required=True, metavar="COMMAND")
    add = parser(nouns, "add", "add a user with an account and a first key, and print the key", _add, json=True)
    add.add_argument("name", metavar="NAME")
    add.add_argument("--email", metavar="E")
    add.add_argument("--credits", metavar="N", help="decimal text; default: [credits] signup_bonus")
    add.add_argument("--role", default="user", choices=ROLES)
    parser(nouns, "list", "list all users", _list, json=True)
    parser(nouns, "show", "show one user", _show, json=True).add_argument("user", metavar="USER", help=WHO)
    for name, help, suspended in (  # noqa: A001 (argparse's word)
        ("suspend", "refuse all keys of a user's account", True),
        ("resume", "let a suspended user's keys in again", False),
    ):
        made = parser(nouns, name, help, partial(_suspend, suspended), json=True)
        made.add_argument("user", metavar="USER", help=WHO)
        made.add_argument("--reason", metavar="TEXT", help="stands in the audit table")
    made = parser(nouns, "role", "give a user another role; one admin must be left", _role, json=True)
    made.add_argument("user", metavar="USER", help=WHO)
    made.add_argument("role", metavar="ROLE", choices=ROLES, help=", ".join(ROLES))
    made.add_argument("--reason", metavar="TEXT", help="stands in the audit table")


def _add(arguments: argparse.Namespace) -> int:
    amount = None if arguments.credits is None else credit(arguments.credits)
    _check(arguments.name, arguments.email)

    async def add(work: Work) -> dict[str, Any]:
        if await users.find(work.connection, arguments.name):
            raise CommandError(f'There is a user "{arguments.name}" already.')
        try:
            id, account = await users.add(  # noqa: A001 (the column's name)
                work.connection, name=arguments.name, email=arguments.email, role=arguments.role
            )
        except asyncpg.UniqueViolationError:
            raise CommandError(f"The e-mail {arguments.email} belongs to another user.") from None
        given = work.config.credits.signup_bonus if amount is None else amount
        if given:
            await grant(work.connection, request_id.make(), account, given, "signup")
        key = await make(work, account, "first key")
        after = {"role": arguments.role, "credits": credits.show(given)}
        await audit.note(work.connection, "added", actor=None, subject=id, after=after)
        return {"user": id, "account": account, "api_key": key, "credits": credits.show(given)}

    made = working(arguments, add)
    show(arguments, made, (f"{name:8} {value}" for name, value in made.items()))
    return 0


def _check(name: str, email: str | None) -> None:
    if not name.strip() or not name.isprintable() or len(name) > NAME_CHARACTERS_MAX:
        raise CommandError(f"A user's name is up to {NAME_CHARACTERS_MAX} printable characters.")
    if name.isdigit():
        raise CommandError("A user's name cannot be a number: numbers stand for users everywhere.")
    if email is not None and _EMAIL.fullmatch(email) is None:
        raise CommandError(f'"{email}" is no e-mail address.')


def _list(arguments: argparse.Namespace) -> int:
    rows = [row_of(row) for row in working(arguments, lambda work: users.everyone(work.connection))]
    show(arguments, rows, table(rows, COLUMNS))
    return 0


def _show(arguments: argparse.Namespace) -> int:
    row = row_of(working(arguments, lambda work: user(work, arguments.user)))
    show(arguments, row, (f"{name:10} {'-' if value is None else value}" for name, value in row.items()))
    return 0


def _suspend(suspended: bool, arguments: argparse.Namespace) -> int:
    async def change(work: Work) -> asyncpg.Record:
        row = await user(work, arguments.user)
        await oversight.set_suspended(
            work.connection, actor=None, user=row["id"], suspended=suspended, reason=arguments.reason
        )
        return await user(work, str(row["id"]))

    row = row_of(working(arguments, change))
    show(arguments, row, [f"{row['name']} is {'suspended' if suspended else 'active'}."])
    return 0


def _role(arguments: argparse.Namespace) -> int:
    async def change(work: Work) -> asyncpg.Record:
        row = await user(work, arguments.user)
        await oversight.set_role(
            work.connection, actor=None, user=row["id"], role=arguments.role, reason=arguments.reason
        )
        return await user(work, str(row["id"]))

    row = row_of(working(arguments, change))
    show(arguments, row, [f"The role of {row['name']} is {row['role']}."])
    return 0


def row_of(record: asyncpg.Record) -> dict[str, Any]:
    """A user as commands print it, amounts as decimal text."""
    row = {name: record[name] for name in ("id", "name", "email", "role", "account")}
    row |= {name: credits.show(record[name]) for name in ("available", "held", "granted", "spent")}
    return row | {"suspended": record["suspended_at"], "created": record["created_at"]}
