"""`nijika credits` and `nijika ledger`: give credit, and see that the money adds up."""

import argparse

from nijika import credits, request_id
from nijika.commands.setting import Parsers, Work, parser, show, user, working
from nijika.commands.user import credit
from nijika.errors import CommandError
from nijika.ledger.grant import grant
from nijika.ledger.verify import verify


def add_to(parsers: Parsers) -> None:
    """The commands of these nouns."""
    nouns = parsers.add_parser("credits", help="give credits", allow_abbrev=False).add_subparsers(
        required=True, metavar="COMMAND"
    )
    given = parser(nouns, "grant", "give credits to a user's account", _grant, json=True)
    given.add_argument("user", metavar="USER", help="number, e-mail or name")
    given.add_argument("amount", metavar="AMOUNT", help='decimal text such as "12.50"')
    given.add_argument("--reason", required=True, metavar="TEXT", help="stands in the journal")
    nouns = parsers.add_parser("ledger", help="look at the ledger", allow_abbrev=False).add_subparsers(
        required=True, metavar="COMMAND"
    )
    parser(nouns, "verify", "count violations of each invariant; exit 1 if there is any", _verify, json=True)


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


def _verify(arguments: argparse.Namespace) -> int:
    # Its own transaction, at one moment in time: not inside of another one.
    violations = working(arguments, lambda work: verify(work.connection), transaction=False)
    show(arguments, violations, (f"{count:6}  {name}" for name, count in violations.items()))
    return 1 if any(violations.values()) else 0
