"""`nijika ledger`: see that the money adds up, look at single charges, put old months away."""

import argparse
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg

from nijika import credits
from nijika.commands.setting import Parsers, Work, parser, show, table, working
from nijika.errors import CommandError
from nijika.ledger import report
from nijika.ledger.archive import archive
from nijika.ledger.verify import verify

COLUMNS = ("id", "age_seconds", "held", "account", "route", "owner", "owner_state", "deadline")
AMOUNTS = ("held", "captured", "available", "granted", "spent")


def add_to(parsers: Parsers) -> None:
    """The commands of this noun."""
    nouns = parsers.add_parser("ledger", help="look at the ledger, or archive it", allow_abbrev=False).add_subparsers(
        required=True, metavar="COMMAND"
    )
    parser(nouns, "verify", "count violations of each invariant; exit 1 if there is any", _verify, json=True)
    parser(nouns, "stuck", "list open charges with their age and owner, the oldest first", _stuck, json=True)
    shown = parser(nouns, "show", "tell what happened to one charge or grant", _show, json=True)
    shown.add_argument("id", type=_id, metavar="ID", help="the X-Request-ID of its call")
    archived = parser(nouns, "archive", "put months that are over away, and keep their sums", _archive, json=True)
    archived.add_argument("--before", type=_month, required=True, metavar="MONTH", help="such as 2026-01")


def _verify(arguments: argparse.Namespace) -> int:
    # Its own transaction, at one moment in time: not inside of another one.
    violations = working(arguments, lambda work: verify(work.connection), transaction=False)
    show(arguments, violations, (f"{count:6}  {name}" for name, count in violations.items()))
    return 1 if any(violations.values()) else 0


def _stuck(arguments: argparse.Namespace) -> int:
    rows = [_row(record) for record in working(arguments, lambda work: report.stuck(work.connection))]
    show(arguments, rows, table(rows, COLUMNS) if rows else ["No charge is open."])
    return 0


def _show(arguments: argparse.Namespace) -> int:
    async def found(work: Work) -> dict[str, Any]:
        charge = await report.charge(work.connection, arguments.id)
        entries = await report.entries(work.connection, arguments.id)
        if not entries:
            raise CommandError(f"There is no charge or grant {arguments.id}, or its month is archived.")
        return {"charge": None if charge is None else _row(charge), "journal": [_row(entry) for entry in entries]}

    story = working(arguments, found)
    show(arguments, story, _told(story))
    return 0


def _told(story: Mapping[str, Any]) -> Iterator[str]:
    if story["charge"] is not None:
        yield from (f"{name:15} {'-' if value is None else value}" for name, value in story["charge"].items())
        yield ""
    yield from table(story["journal"], list(story["journal"][0]))


def _archive(arguments: argparse.Namespace) -> int:
    # A transaction for each month.
    months = working(arguments, lambda work: archive(work.connection, arguments.before), transaction=False)
    lines = [f"{month} is archived: archive.charges_{month.replace('-', '_')}, archive.journal_…" for month in months]
    show(arguments, months, lines or [f"There is no month before {arguments.before:%Y-%m} to archive."])
    return 0


def _row(record: asyncpg.Record) -> dict[str, Any]:
    row = dict(record)
    row |= {name: credits.show(row[name]) for name in AMOUNTS if name in row}
    return row | ({"age_seconds": round(row["age_seconds"], 1)} if "age_seconds" in row else {})


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'"{text}" is no id; take it from X-Request-ID') from None


def _month(text: str) -> date:
    match = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", text, re.ASCII)
    if match is None:
        raise argparse.ArgumentTypeError(f'"{text}" is no month such as 2026-01')
    return date(int(match[1]), int(match[2]), 1)
