"""What becomes of the orders of this process, for the metrics; and which of its charges are open."""

from uuid import UUID

from nijika.ledger.orders import Hold, Order, Outcome, Settlement
from nijika.metrics import money
from nijika.metrics.registry import NOTHING


class Tally:
    """`open` are the charges that were held here and not settled, as far as this process has heard."""

    def __init__(self) -> None:
        self.open: set[UUID] = set()

    def note(self, order: Order, outcome: Outcome) -> None:
        """The database has decided on an order."""
        match order, outcome.verdict:
            case Hold(), "held":
                self.open.add(order.id)
                money.held(order.route, outcome.held)
            case Settlement(), "settled" | "lost" | "unknown":
                self.open.discard(order.id)
                if outcome.verdict == "settled":
                    _settled(order)


def _settled(order: Settlement) -> None:
    if order.captured is None:
        money.refunded(order.route, order.held, order.reason or NOTHING)
    else:
        money.captured(order.route, order.captured, order.held - order.captured)
