"""`nijika credits`: give credit, and take it back."""

import argparse
from functools import partial

from nijika import credits, oversight, request_id
from nijika.commands.setting import Parsers, Work, credit, parser, show, user, working
from nijika.errors import CommandError


def add_to(parsers: Parsers) -> None:
    """The commands of this noun."""
    nouns = parsers.add_parser("credits", help="give and take credits", allow_abbrev=False).add_subparsers(
        required=True, metavar="COMMAND"
    )
    for name, help, word, sign in (  # noqa: A001 (argparse's word)
        ("grant", "give credits to a user's account", "granted", 1),
        ("take", "take available credits from a user's account", "taken", -1),
    ):
        made = parser(nouns, name, help, partial(_adjust, word, sign), json=True)
        made.add_argument("user", metavar="USER", help="number, e-mail or name")
        made.add_argument("amount", metavar="AMOUNT", help='decimal text such as "12.50"')
        made.add_argument("--reason", required=True, metavar="TEXT", help="stands in the journal")


def _adjust(word: str, sign: int, arguments: argparse.Namespace) -> int:
    amount = credit(arguments.amount)
    if amount == 0:
        raise CommandError("Nothing cannot be given or taken; the amount must be above 0.")

    async def adjusted(work: Work) -> dict[str, object]:
        row = await user(work, arguments.user)
        done = await oversight.adjust(
            work.connection,
            id=request_id.make(),
            actor=None,
            user=row["id"],
            amount=sign * amount,
            reason=arguments.reason,
        )
        return {"user": row["id"], word: credits.show(amount), "available": credits.show(done.available)}

    made = working(arguments, adjusted)
    show(arguments, made, [f"{made[word]} {word}; {made['available']} available."])
    return 0
