"""All orders that wait, and which of them make the next batch."""

from uuid import UUID

from nijika.ledger.orders import Hold, Order
from nijika.ledger.queue import Entry, Queue

HOLDS_MAX = 4096
"""So many holds may wait, half of them of one account; settlements always may: their charges were let in before."""


class Waiting:
    """Settlements and holds in queues of their own: what settlements give back can be held at once."""

    def __init__(self) -> None:
        self._settlements = Queue()
        self._holds = Queue()

    def __len__(self) -> int:
        return len(self._settlements) + len(self._holds)

    def has_room(self, order: Order) -> bool:
        """Whether one more may wait; one account leaves room for the others."""
        if not isinstance(order, Hold):
            return True
        return len(self._holds) < HOLDS_MAX and self._holds.waiting(order.account) < HOLDS_MAX // 2

    def put(self, entry: Entry) -> None:
        """Let an order wait."""
        self._queue(entry.order).put(entry)

    def put_back(self, entries: list[Entry]) -> None:
        """Let orders that were taken wait again, before all others of their accounts."""
        for queue in (self._settlements, self._holds):
            queue.put_back([entry for entry in entries if self._queue(entry.order) is queue])

    def take(self, number_max: int) -> list[Entry]:
        """The next batch, settlements first; no id twice among its holds or its settlements.

        A hold whose caller has left before it was ever sent is dropped.
        """
        batch: dict[tuple[type[Order], UUID], Entry] = {}
        again = []
        for queue in (self._settlements, self._holds):
            for entry in queue.take(number_max - len(batch)):
                name = type(entry.order), entry.order.id
                if name in batch:
                    again.append(entry)
                elif not (isinstance(entry.order, Hold) and entry.outcome.cancelled() and not entry.sent):
                    batch[name] = entry
        self.put_back(again)
        return list(batch.values())

    def take_expired(self, now: float) -> list[Entry]:
        """All orders whose time is over."""
        return self._settlements.take_expired(now) + self._holds.take_expired(now)

    def take_all(self) -> list[Entry]:
        """Every order."""
        return self._settlements.take(len(self._settlements)) + self._holds.take(len(self._holds))

    def _queue(self, order: Order) -> Queue:
        return self._holds if isinstance(order, Hold) else self._settlements
