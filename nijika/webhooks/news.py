"""What there is to tell an account: each event is written down in the transaction in which it happens."""

import json
from collections.abc import Mapping
from uuid import UUID

from nijika import credits, request_id
from nijika.database import Connection
from nijika.store import deliveries, thresholds, usage

EVENTS = {
    thresholds.LOW: "the credit fell below a threshold",
    thresholds.EXHAUSTED: "the credit does not pay for the cheapest call any more",
    "credits.granted": "credit was given: a payment, or the operator",
    "credits.taken": "credit was taken back",
}
"""What a webhook can want, and what each of them tells."""

TEST = "webhook.test"


async def adjusted(connection: Connection, account: int, entry: UUID, amount: int, reason: str) -> None:
    """Tell that `amount` micro-credits were given (or taken, below zero) by an entry of the journal."""
    data = {"transaction": str(entry), "amount": credits.show(abs(amount)), "reason": reason}
    await _tell(connection, account, "credits.granted" if amount > 0 else "credits.taken", data)
    await compare(connection, account)


async def compare(connection: Connection, account: int) -> None:
    """Tell what the credit fell below since the last time; in a transaction, which has the account's row then."""
    for fall in await thresholds.compare(connection, account):
        await _tell(connection, account, fall["event"], {"threshold": credits.show(fall["amount"])})


async def test(connection: Connection, account: int, webhook: int) -> None:
    """Send something to one webhook."""
    data = await _with_balance(connection, account, {})
    await deliveries.put_to(connection, webhook, TEST, request_id.make(), data)


async def _tell(connection: Connection, account: int, event: str, data: Mapping[str, str]) -> None:
    await deliveries.put(connection, account, event, request_id.make(), await _with_balance(connection, account, data))


async def _with_balance(connection: Connection, account: int, data: Mapping[str, str]) -> str:
    balance = await usage.account(connection, account)
    amounts = {name: credits.show(balance[name]) for name in ("available", "held")}
    return json.dumps({"account": account, **data, **amounts})
