"""Accounts take turns in the queue, and each account's orders keep their order."""

from nijika.ledger.orders import Order, Settlement
from nijika.ledger.queue import SHARE, Entry, Queue
from tests.ledger.conftest import hold_of


def order_of(account: int) -> Order:
    return Settlement(hold_of(account).id, account, None)


async def test_a_crowded_account_does_not_keep_another_waiting() -> None:
    queue = Queue()
    for _ in range(1000):
        queue.put(Entry(order_of(1), 0))
    queue.put(Entry(order_of(2), 0))

    batch = queue.take(SHARE * 2)

    assert [entry.order.account for entry in batch] == [1] * SHARE + [2] + [1] * (SHARE - 1)
    assert len(queue) == 1001 - SHARE * 2


async def test_who_gave_its_share_waits_behind_the_others() -> None:
    queue = Queue()
    for account in (1, 2, 3):
        for _ in range(SHARE * 2):
            queue.put(Entry(order_of(account), 0))

    turns = [{entry.order.account for entry in queue.take(SHARE)} for _ in range(6)]

    assert turns == [{1}, {2}, {3}, {1}, {2}, {3}]


async def test_what_is_put_back_comes_first_and_in_its_order() -> None:
    queue = Queue()
    entries = [Entry(order_of(account), 0) for account in (1, 2, 1, 2, 1)]
    for entry in entries:
        queue.put(entry)

    taken = queue.take(3)
    queue.put_back(taken)
    again = queue.take(10)

    for account in (1, 2):
        mine = [entry for entry in entries if entry.order.account == account]
        assert [entry for entry in again if entry.order.account == account] == mine
    assert len(queue) == 0


async def test_only_what_is_over_expires() -> None:
    queue = Queue()
    early, late = Entry(order_of(1), 5), Entry(order_of(1), 15)
    queue.put(early)
    queue.put(late)

    assert queue.take_expired(10) == [early]
    assert queue.take(10) == [late]
    assert queue.waiting(1) == 0
