"""`nijika credits`: give credit."""

import argparse

from nijika import credits, request_id
from nijika.commands.setting import Parsers, Work, credit, parser, show, user, working
from nijika.errors import CommandError
from nijika.ledger.grant import grant


def add_to(parsers: Parsers) -> None:
    """The commands of this noun."""
    nouns = parsers.add_parser("credits", help="give credits", allow_abbrev=False).add_subparsers(
        required=True, metavar="COMMAND"
    )
    given = parser(nouns, "grant", "give credits to a user's account", _grant, json=True)
    given.add_argument("user", metavar="USER", help="number, e-mail or name")
    given.add_argument("amount", metavar="AMOUNT", help='decimal text such as "12.50"')
    given.add_argument("--reason", required=True, metavar="TEXT", help="stands in the journal")


def _grant(arguments: argparse.Namespace) -> int:
    amount = credit(arguments.amount)
    if amount == 0:
        raise CommandError("Nothing cannot be given; the amount must be above 0.")

    async def given(work: Work) -> dict[str, object]:
        row = await user(work, arguments.user)
        available = await grant(work.connection, request_id.make(), row["account"], amount, arguments.reason)
        return {"user": row["id"], "granted": credits.show(amount), "available": credits.show(available)}

    made = working(arguments, given)
    show(arguments, made, [f"{made['granted']} granted; {made['available']} available."])
    return 0
