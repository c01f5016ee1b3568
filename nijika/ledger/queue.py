"""Orders that wait for the next batch, so that one account's many never keep another's few waiting."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from nijika.ledger.orders import Order, Outcome

SHARE = 32
"""An account gives this many orders to a batch before the next account's turn comes."""


@dataclass(eq=False, slots=True)
class Entry:
    """An order on its way; `expires` (loop time) is when its waiter is told that the outcome is unknown.

    `sent` tells whether it was in a batch already.
    """

    order: Order
    expires: float
    outcome: asyncio.Future[Outcome] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    sent: bool = False


class Queue:
    """First come, first served within an account; accounts take turns."""

    def __init__(self) -> None:
        self._accounts: dict[int, deque[Entry]] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def waiting(self, account: int) -> int:
        """How many orders of this account wait."""
        return len(self._accounts.get(account, ()))

    def put(self, entry: Entry) -> None:
        """Let an order wait behind all of its account's."""
        self._accounts.setdefault(entry.order.account, deque()).append(entry)
        self._length += 1

    def put_back(self, entries: list[Entry]) -> None:
        """Let orders that were taken wait again, in their order and before all others of their accounts."""
        for entry in reversed(entries):
            self._accounts.setdefault(entry.order.account, deque()).appendleft(entry)
        self._length += len(entries)

    def take(self, number_max: int) -> list[Entry]:
        """The next orders, SHARE by SHARE from one account after the other."""
        taken: list[Entry] = []
        while self._accounts and len(taken) < number_max:
            account, entries = next(iter(self._accounts.items()))
            del self._accounts[account]
            share = min(SHARE, len(entries), number_max - len(taken))
            taken.extend(entries.popleft() for _ in range(share))
            if entries:
                self._accounts[account] = entries  # behind the others
        self._length -= len(taken)
        return taken

    def take_expired(self, now: float) -> list[Entry]:
        """All orders whose time is over."""
        expired = [entry for entries in self._accounts.values() for entry in entries if entry.expires <= now]
        gone = set(map(id, expired))
        for account, entries in list(self._accounts.items()):
            kept = deque(entry for entry in entries if id(entry) not in gone)
            if kept:
                self._accounts[account] = kept
            else:
                del self._accounts[account]
        self._length -= len(expired)
        return expired
