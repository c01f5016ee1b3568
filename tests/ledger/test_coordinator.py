"""Every order gets an answer: in a crowd, in an outage, beside a poisoned one, and when the process stops."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from nijika import request_id
from nijika.errors import IdempotencyKeyDone, InsufficientCredits, LedgerBusy, LedgerUnavailable
from nijika.ledger import Hold, Ledger, Settlement, coordinator, waiting
from nijika.ledger.orders import Delivery
from tests.ledger.conftest import Bank, hold_of


class Line:
    """A pool whose statements go through `happening(statement, number)`, which may lose or refuse them."""

    def __init__(self, pool: Any, happening: Callable[[Any, int], Any]) -> None:
        self.sent = 0
        self._pool = pool
        self._happening = happening

    @asynccontextmanager
    async def acquire(self, **settings: Any) -> AsyncIterator[Any]:
        async with self._pool.acquire(**settings) as connection:
            self._connection = connection
            yield self

    def is_closed(self) -> bool:
        return False

    async def fetchrow(self, *arguments: Any, **settings: Any) -> Any:
        self.sent += 1
        return await self._happening(lambda: self._connection.fetchrow(*arguments, **settings), self.sent)


@asynccontextmanager
async def ledger_on(bank: Bank, happening: Callable[[Any, int], Any]) -> AsyncIterator[tuple[Ledger, Line]]:
    line = Line(bank.pool, happening)
    ledger = Ledger(line, bank.lease.id)  # type: ignore[arg-type] # what a line that breaks does
    try:
        yield ledger, line
    finally:
        await ledger.close()


async def lost_at_first(statement: Any, number: int) -> Any:
    """The first answer, and that of the first statement after it was sent again, are lost on the way."""
    row = await statement()
    if number in {1, 3}:
        raise ConnectionResetError
    return row


async def test_calls_that_come_together_are_few_statements(bank: Bank) -> None:
    account, _ = await bank.account(1_000_000)

    async def through(statement: Any, _: int) -> Any:
        return await statement()

    async with ledger_on(bank, through) as (ledger, line):
        charges = await asyncio.gather(*(ledger.hold(hold_of(account)) for _ in range(300)))
        await asyncio.gather(*(charge.capture(10, status=200) for charge in charges))

    assert line.sent <= 8
    assert await bank.balances(account) == (1_000_000 - 3000, 0, 3000)
    assert await bank.violations() == {}


async def test_a_small_hold_behind_a_refused_large_one_is_served(bank: Bank) -> None:
    account, _ = await bank.account(100)
    amounts = [60, 60, 30, 20, 10, 1]

    results = await asyncio.gather(
        *(bank.ledger.hold(hold_of(account, amount)) for amount in amounts), return_exceptions=True
    )

    assert [isinstance(result, InsufficientCredits) for result in results] == [False, True, False, True, False, True]
    assert await bank.balances(account) == (0, 100, 0)
    assert await bank.violations() == {}


async def test_what_a_settlement_gives_back_can_be_held_in_the_same_batch(bank: Bank) -> None:
    account, _ = await bank.account(10)
    charge = await bank.ledger.hold(hold_of(account, 10))

    _, again = await asyncio.gather(charge.refund("test"), bank.ledger.hold(hold_of(account, 10)))

    assert again.state == "held"
    assert await bank.balances(account) == (0, 10, 0)


async def test_an_order_that_cannot_be_stored_fails_alone(bank: Bank) -> None:
    account, _ = await bank.account(1000)
    bad = Hold(request_id.make(), account, 1, "/x\x00", 10, 60)

    results = await asyncio.gather(
        *(bank.ledger.hold(hold) for hold in (hold_of(account), bad, hold_of(account))), return_exceptions=True
    )

    assert [isinstance(result, asyncpg.PostgresError) for result in results] == [False, True, False]
    assert await bank.balances(account) == (980, 20, 0)
    assert await bank.violations() == {}


async def test_a_batch_whose_answer_is_lost_is_sent_again_and_counts_once(bank: Bank) -> None:
    account, _ = await bank.account(1000)

    async with ledger_on(bank, lost_at_first) as (ledger, _):
        charges = await asyncio.gather(*(ledger.hold(hold_of(account)) for _ in range(50)))
        await asyncio.gather(*(charge.capture(10, status=200) for charge in charges))

    assert await bank.balances(account) == (500, 0, 500)
    assert await bank.violations() == {}


@pytest.mark.parametrize("credit", [10, 20])
async def test_a_hold_and_a_capture_whose_answers_were_lost_are_made_once(bank: Bank, credit: int) -> None:
    """Also where the hold took all there was: the second try must not find too little."""
    account, _ = await bank.account(credit)

    async with ledger_on(bank, lost_at_first) as (ledger, _):
        charge = await ledger.hold(hold_of(account, 10))
        assert await bank.balances(account) == (credit - 10, 10, 0)
        await charge.capture(10, status=200)

    assert (charge.state, charge.available) == ("captured", credit - 10)
    assert await bank.balances(account) == (credit - 10, 0, 10)
    assert await bank.violations() == {}


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry budget of a moment."""
    monkeypatch.setattr(coordinator, "RETRY_SECONDS", 0.2)
    monkeypatch.setattr(coordinator.Coordinator.put, "__defaults__", (0.2,))


@pytest.mark.usefixtures("hurried")
async def test_in_an_outage_everyone_is_told_once_the_budget_is_over(bank: Bank) -> None:
    account, _ = await bank.account(1000)

    async def away(_: Any, __: int) -> Any:
        raise ConnectionRefusedError

    async with ledger_on(bank, away) as (ledger, line):
        results = await asyncio.gather(*(ledger.hold(hold_of(account)) for _ in range(20)), return_exceptions=True)

    assert {type(result) for result in results} == {LedgerUnavailable}
    assert line.sent > 1
    assert await bank.balances(account) == (1000, 0, 0)


@pytest.mark.usefixtures("hurried")
async def test_a_hold_that_was_given_up_and_yet_committed_is_given_back(bank: Bank) -> None:
    account, _ = await bank.account(1000)
    over = asyncio.Event()

    async def deaf(statement: Any, _: int) -> Any:
        row = await statement()
        if not over.is_set():
            raise ConnectionResetError
        return row

    async with ledger_on(bank, deaf) as (ledger, _):
        with pytest.raises(LedgerUnavailable):
            await ledger.hold(hold_of(account))
        assert await bank.balances(account) == (990, 10, 0)
        over.set()
        await _until_nothing_is_held(bank, account)

    assert await bank.balances(account) == (1000, 0, 0)
    assert await bank.violations() == {}


async def test_a_hold_whose_caller_left_while_it_was_made_is_given_back(bank: Bank) -> None:
    account, _ = await bank.account(1000)
    under_way, leave = asyncio.Event(), asyncio.Event()

    async def slow(statement: Any, _: int) -> Any:
        under_way.set()
        await leave.wait()
        return await statement()

    async with ledger_on(bank, slow) as (ledger, line):
        call = asyncio.create_task(ledger.hold(hold_of(account)))
        await under_way.wait()
        call.cancel()
        await asyncio.wait([call])
        leave.set()
        while line.sent < 2:
            await asyncio.sleep(0.01)

    assert call.cancelled()
    assert await bank.pool.fetchval("SELECT reason FROM charges") == "unanswered"
    assert await bank.balances(account) == (1000, 0, 0)


async def test_a_hold_whose_caller_leaves_in_the_moment_of_its_answer_is_given_back(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, _ = await bank.account(1000)
    answer = coordinator.Coordinator._answer
    calls: list[asyncio.Task[Any]] = []

    def answer_and_leave(self: Any, *arguments: Any) -> None:
        answer(self, *arguments)
        for call in calls:
            call.cancel()
        calls.clear()

    monkeypatch.setattr(coordinator.Coordinator, "_answer", answer_and_leave)
    calls.append(asyncio.create_task(bank.ledger.hold(hold_of(account))))
    await asyncio.wait(list(calls))
    await _until_nothing_is_held(bank, account)

    assert await bank.balances(account) == (1000, 0, 0)
    assert await bank.violations() == {}


async def test_a_hold_whose_caller_left_before_it_was_sent_is_never_made(bank: Bank) -> None:
    account, _ = await bank.account(1000)

    call = asyncio.create_task(bank.ledger.hold(hold_of(account)))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait([call])
    await bank.ledger.hold(hold_of(account))

    assert await bank.pool.fetchval("SELECT count(*) FROM charges") == 1


async def test_a_capture_whose_caller_left_is_made_all_the_same(bank: Bank) -> None:
    account, _ = await bank.account(1000)
    charge = await bank.ledger.hold(hold_of(account))

    call = asyncio.create_task(charge.capture(10, status=200))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait([call])
    await _until_nothing_is_held(bank, account)

    assert await bank.balances(account) == (990, 0, 10)


async def test_a_locked_account_waits_alone_and_is_served_once_it_is_free(bank: Bank) -> None:
    (locked, _), (free, _) = await bank.account(1000), await bank.account(1000)
    charge = await bank.ledger.hold(hold_of(locked))

    async with bank.pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM accounts WHERE id = $1 FOR UPDATE", locked)
            waiting = [
                asyncio.create_task(bank.ledger.hold(hold_of(locked))),
                asyncio.create_task(charge.capture(10, status=200)),
            ]
            for _ in range(5):
                served = await bank.ledger.hold(hold_of(free))
                await served.capture(10, status=200)
            assert not any(task.done() for task in waiting)
        await asyncio.gather(*waiting)

    assert await bank.balances(free) == (950, 0, 50)
    assert await bank.balances(locked) == (980, 10, 10)
    assert await bank.violations() == {}


async def test_what_somebody_else_does_to_keys_holds_nobody_up(bank: Bank) -> None:
    (one, _), (other, _) = await bank.account(1000), await bank.account(1000)
    charge = await bank.ledger.hold(hold_of(one, name="k"))
    await charge.refund("test")

    async with bank.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT 1 FROM accounts WHERE id = $1 FOR UPDATE", one)
        bank.ledger.delivered(Delivery(charge.id, one, "k", True))
        for _ in range(3):
            await bank.ledger.hold(hold_of(other))

    assert await bank.balances(other) == (970, 30, 0)


async def test_a_delivery_counts_for_an_attempt_in_the_same_batch(bank: Bank) -> None:
    account, _ = await bank.account(1000)
    charge = await bank.ledger.hold(hold_of(account, name="k"))
    await charge.capture(10, status=200)

    bank.ledger.delivered(Delivery(charge.id, account, "k", True))
    with pytest.raises(IdempotencyKeyDone):
        await bank.ledger.hold(hold_of(account, name="k"))


@pytest.mark.usefixtures("hurried")
async def test_a_capture_whose_caller_left_in_an_outage_is_given_back(bank: Bank) -> None:
    account, _ = await bank.account(1000)
    over = asyncio.Event()

    async def away(statement: Any, number: int) -> Any:
        if number > 1 and not over.is_set():
            raise ConnectionRefusedError
        return await statement()

    async with ledger_on(bank, away) as (ledger, line):
        charge = await ledger.hold(hold_of(account))
        call = asyncio.create_task(charge.capture(10, status=200))
        while line.sent < 2:
            await asyncio.sleep(0.01)
        call.cancel()
        await asyncio.sleep(0.5)
        over.set()
        await _until_nothing_is_held(bank, account)

    assert await bank.balances(account) == (1000, 0, 0)


async def test_a_poisoned_order_is_told_also_in_a_crowd(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinator, "BATCH_MAX", 8)
    accounts = [(await bank.account(1_000_000))[0] for _ in range(40)]
    stop = asyncio.Event()

    async def crowd(account: int) -> None:
        while not stop.is_set():
            await bank.ledger.hold(hold_of(account))

    crowds = [asyncio.create_task(crowd(account)) for account in accounts]
    await asyncio.sleep(0.1)
    bad = Hold(request_id.make(), accounts[0], 1, "/x\x00", 10, 60)
    async with asyncio.timeout(10):
        with pytest.raises(asyncpg.PostgresError):
            await bank.ledger.hold(bad)
    stop.set()
    await asyncio.gather(*crowds)

    assert await bank.violations() == {}


async def test_too_many_waiting_holds_are_refused_and_one_account_never_takes_all_room(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "HOLDS_MAX", 10)
    crowded, _ = await bank.account(1000)
    other, _ = await bank.account(1000)
    gate = asyncio.Event()

    async def closed(statement: Any, _: int) -> Any:
        await gate.wait()
        return await statement()

    async with ledger_on(bank, closed) as (ledger, _):
        first = asyncio.create_task(ledger.hold(hold_of(crowded)))
        await asyncio.sleep(0.05)
        calls = [asyncio.create_task(ledger.hold(hold_of(crowded))) for _ in range(8)]
        calls += [asyncio.create_task(ledger.hold(hold_of(other))) for _ in range(8)]
        await asyncio.sleep(0.05)
        gate.set()
        results = await asyncio.gather(first, *calls, return_exceptions=True)

    refused = [isinstance(result, LedgerBusy) for result in results]
    assert refused == [False] + [False] * 5 + [True] * 3 + [False] * 5 + [True] * 3
    assert await bank.violations() == {}


async def test_settlements_are_never_refused_for_want_of_room(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    account, _ = await bank.account(1000)
    charges = await asyncio.gather(*(bank.ledger.hold(hold_of(account)) for _ in range(20)))
    monkeypatch.setattr(waiting, "HOLDS_MAX", 1)

    await asyncio.gather(*(charge.capture(10, status=200) for charge in charges))

    assert await bank.balances(account) == (800, 0, 200)


async def test_at_the_end_whoever_waits_is_told(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinator, "RETRY_SECONDS", 0.1)
    account, _ = await bank.account(1000)

    async def never(_: Any, __: int) -> Any:
        await asyncio.Event().wait()

    async with ledger_on(bank, never) as (ledger, _):
        call = asyncio.create_task(ledger.hold(hold_of(account)))
        await asyncio.sleep(0.02)
    result = await asyncio.gather(call, return_exceptions=True)

    assert isinstance(result[0], LedgerUnavailable)


async def test_after_the_end_nothing_is_taken_any_more(bank: Bank) -> None:
    account, _ = await bank.account(1000)
    await bank.ledger.hold(hold_of(account))
    await bank.ledger.close()

    with pytest.raises(LedgerUnavailable):
        await bank.ledger.hold(hold_of(account))


async def test_the_same_order_twice_at_once_is_done_once(bank: Bank) -> None:
    account, _ = await bank.account(1000)
    hold = hold_of(account)

    await asyncio.gather(bank.ledger.hold(hold), bank.ledger.hold(hold))
    capture, refund = Settlement(hold.id, account, 10, 200), Settlement(hold.id, account, None, reason="late")
    results = await asyncio.gather(*(bank.ledger.settle(order) for order in (capture, refund, capture)))

    assert results == [990, None, 990]
    assert await bank.balances(account) == (990, 0, 10)
    assert await bank.violations() == {}


async def test_two_gateways_on_the_same_accounts_never_wait_in_a_circle(bank: Bank) -> None:
    accounts = [(await bank.account(1_000_000))[0] for _ in range(8)]
    second = Ledger(bank.pool, bank.lease.id)

    async def call(ledger: Ledger, number: int) -> None:
        charge = await ledger.hold(hold_of(accounts[number % 8]))
        await charge.capture(10, status=200)

    await asyncio.gather(*(call(ledger, number) for number in range(400) for ledger in (bank.ledger, second)))
    await second.close()

    assert [await bank.balances(account) for account in accounts] == [(999_000, 0, 1000)] * 8
    assert await bank.violations() == {}


async def _until_nothing_is_held(bank: Bank, account: int) -> None:
    async with asyncio.timeout(10):
        while (await bank.balances(account))[1] > 0:
            await asyncio.sleep(0.01)
