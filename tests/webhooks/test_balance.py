"""What becomes of the credit is told once: falls below thresholds whoever looks, credit given and taken with its entry."""

import asyncio
from typing import Any

import pytest

from nijika import oversight, request_id
from nijika.credits import parse
from nijika.errors import BelowZero
from nijika.store import thresholds, usage
from nijika.webhooks.watch import Watch
from tests.webhooks.conftest import Holder
from tests.webhooks.receiver import Receiver

LOW, EXHAUSTED = thresholds.LOW, thresholds.EXHAUSTED


def watch(ada: Holder, *, lowest: int | None = 1_000_000) -> Watch:
    return Watch(ada.gateway.pool, lowest=lowest, keep_days=30)


async def below(ada: Holder, *amounts: str, event: str = LOW) -> None:
    """Ada sets her thresholds."""
    async with ada.gateway.pool.acquire() as connection, connection.transaction():
        await thresholds.put(connection, ada.customer.account, event, map(parse, amounts))


async def told(ada: Holder) -> list[tuple[str, Any]]:
    """Event and threshold (or amount) of everything that was told, the oldest first."""
    rows = await ada.gateway.pool.fetch(
        "SELECT event, coalesce(data ->> 'threshold', data ->> 'amount') AS amount FROM webhook_deliveries ORDER BY id"
    )
    return [(row["event"], row["amount"]) for row in rows]


@pytest.fixture(autouse=True)
async def alone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway's own watch looks only in the test that is about it."""
    if "itself" not in request.node.name:
        monkeypatch.setattr("nijika.webhooks.watch.Watch.run", lambda _: asyncio.sleep(3600))


async def test_a_gateway_itself_notices_a_fall_and_tells_of_it(ada: Holder, receiver: Receiver) -> None:
    _, secret = await ada.hook(receiver.url, [LOW])
    await below(ada, "99.5")

    assert await ada.call() == 200

    (got,) = await receiver.count(1)
    event = got.verified(secret)
    assert event["type"] == "balance.low"
    assert event["data"] == {
        "account": ada.customer.account,
        "threshold": "99.5",
        "available": "99",
        "held": "0",
    }
    assert await ada.gateway.violations() == {}


async def test_a_crossing_under_many_calls_and_many_watchers_is_told_exactly_once(ada: Holder) -> None:
    await ada.hook("https://example.com/", [LOW])
    await below(ada, "90", "75.5", "60", "1")
    is_over = False

    async def look() -> None:
        while not is_over:
            await watch(ada).look()
            await asyncio.sleep(0)

    looks = [asyncio.create_task(look()) for _ in range(4)]
    statuses = await asyncio.gather(*(ada.call() for _ in range(50)))
    is_over = True
    await asyncio.gather(*looks)
    await ada.customer.settled()
    await watch(ada).look()

    assert set(statuses) == {200}
    assert await told(ada) == [(LOW, "90"), (LOW, "75.5"), (LOW, "60")]
    assert await ada.gateway.violations() == {}


async def test_after_a_payment_that_lifts_it_above_the_next_fall_is_told_again(ada: Holder) -> None:
    await ada.hook("https://example.com/", [LOW])
    await below(ada, "99.5")
    await ada.call()
    await watch(ada).look()

    await ada.pay("0.4")  # 99.4 is still below
    await ada.pay("-0.4")
    await watch(ada).look()
    once = await told(ada)
    await ada.pay("0.5")  # exactly the threshold is not below it
    await ada.call()
    await watch(ada).look()

    assert once == [(LOW, "99.5")]
    assert await told(ada) == [(LOW, "99.5"), (LOW, "99.5")]


async def test_a_payment_arms_at_once_so_that_no_fall_right_after_it_is_missed(ada: Holder) -> None:
    """Between two looks of the watch the credit was above, and below again."""
    await ada.hook("https://example.com/", [LOW])
    await below(ada, "99.5")
    await ada.call()
    await watch(ada).look()

    await ada.pay("1")
    await ada.call()
    await watch(ada).look()

    assert await told(ada) == [(LOW, "99.5"), (LOW, "99.5")]


async def test_credit_that_is_held_counts_as_still_there(ada: Holder) -> None:
    await ada.hook("https://example.com/", [LOW])
    await below(ada, "50")
    pool = ada.gateway.pool
    held = "UPDATE accounts SET available = available - $1, held = held + $1 WHERE id = $2"
    await pool.execute(held, parse("60"), ada.customer.account)
    await watch(ada).look()
    await ada.pay("1")
    while_held = await told(ada)
    spent = "UPDATE accounts SET held = held - $1, spent = spent + $1 WHERE id = $2"
    await pool.execute(spent, parse("60"), ada.customer.account)
    await watch(ada).look()

    assert while_held == []
    assert await told(ada) == [(LOW, "50")]  # 101 - 60 = 41


async def test_a_new_threshold_above_the_credit_is_no_fall(ada: Holder) -> None:
    await ada.hook("https://example.com/", [LOW])
    await below(ada, "100", "100.000001", "5000")
    await watch(ada).look()
    nothing = await told(ada)
    await ada.call()
    await watch(ada).look()

    assert nothing == []
    assert await told(ada) == [(LOW, "100")]


async def test_a_threshold_that_stays_is_not_told_again_when_others_are_set(ada: Holder) -> None:
    await ada.hook("https://example.com/", [LOW])
    await below(ada, "99.5")
    await ada.call()
    await watch(ada).look()
    await below(ada, "99.5", "10")
    await watch(ada).look()

    assert await told(ada) == [(LOW, "99.5")]


async def test_a_chargeback_tells_of_the_fall_with_itself(ada: Holder) -> None:
    await ada.hook("https://example.com/")
    await below(ada, "50", "20")

    await ada.pay("-85")

    assert await told(ada) == [("credits.taken", "85"), (LOW, "50"), (LOW, "20")]


async def test_credit_given_is_told_with_the_entry_and_once_however_often_it_is_asked_for(
    ada: Holder, receiver: Receiver
) -> None:
    _, secret = await ada.hook(receiver.url)
    entry = request_id.make()

    for _ in range(2):
        async with ada.gateway.pool.acquire() as connection:
            await oversight.adjust(
                connection, id=entry, actor=None, user=ada.user, amount=parse("25"), reason="Payment 17"
            )
    with pytest.raises(BelowZero):
        await ada.pay("-1000")
    await ada.ended()

    (got,) = receiver.got
    assert got.verified(secret)["data"] == {
        "account": ada.customer.account,
        "transaction": str(entry),
        "amount": "25",
        "reason": "Payment 17",
        "available": "125",
        "held": "0",
    }


async def test_exhausted_means_below_the_price_of_the_cheapest_call(ada: Holder) -> None:
    await ada.hook("https://example.com/", [LOW, EXHAUSTED])
    await below(ada, "1", event=EXHAUSTED)
    await ada.pay("-99")  # 1 is left
    await watch(ada).look()
    enough = await told(ada)
    await ada.call()
    refused = await ada.call()
    await watch(ada).look()

    assert enough == []
    assert refused == 402
    assert await told(ada) == [(EXHAUSTED, "1")]


async def test_another_lowest_price_counts_from_the_next_start_on(ada: Holder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    await ada.hook("https://example.com/", [EXHAUSTED])
    await below(ada, "1", event=EXHAUSTED)
    await ada.gateway.pool.execute("UPDATE webhook_looks SET looked_at = '-infinity'")

    task = asyncio.create_task(watch(ada, lowest=parse("100.5")).run())
    async with asyncio.timeout(10):
        while not await told(ada):
            await asyncio.sleep(0.01)
    task.cancel()

    assert await told(ada) == [(EXHAUSTED, "100.5")]


async def test_webhooks_that_are_older_than_the_first_price_are_told_of_the_end_of_the_credit(
    ada: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    await ada.hook("https://example.com/", [EXHAUSTED])  # nothing had a price: there is no threshold
    await ada.gateway.pool.execute("UPDATE webhook_looks SET looked_at = '-infinity'")

    task = asyncio.create_task(watch(ada, lowest=parse("1")).run())
    async with asyncio.timeout(10):
        while not await ada.gateway.pool.fetchval("SELECT count(*) FROM webhook_thresholds"):
            await asyncio.sleep(0.01)
    await ada.pay("-99.5")
    task.cancel()

    assert await told(ada) == [(EXHAUSTED, "1")]


async def test_a_process_that_starts_sets_the_price_at_once_and_none_does_so_later(
    ada: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a reload an old process may have its first turn: it must not bring the old price back."""
    monkeypatch.undo()
    await below(ada, "3", event=EXHAUSTED)
    await ada.gateway.pool.execute("UPDATE webhook_looks SET looked_at = clock_timestamp() + interval '1 hour'")

    task = asyncio.create_task(watch(ada, lowest=parse("2")).run())
    async with asyncio.timeout(10):
        while await ada.gateway.pool.fetchval("SELECT amount FROM webhook_thresholds") != parse("2"):
            await asyncio.sleep(0.01)
    task.cancel()


async def test_only_what_a_webhook_wants_is_sent_there(ada: Holder) -> None:
    await ada.hook("https://example.com/low", [LOW])
    await ada.hook("https://example.com/paid", ["credits.granted"])
    await below(ada, "50")

    await ada.pay("1")
    await ada.pay("-80")

    rows = await ada.deliveries()
    assert [(row["webhook"], row["event"]) for row in rows] == [(2, "credits.granted"), (1, LOW)]


async def test_two_webhooks_get_one_message(ada: Holder) -> None:
    for number in range(2):
        await ada.hook(f"https://example.com/{number}")

    await ada.pay("1")

    rows = await ada.deliveries()
    assert [row["webhook"] for row in rows] == [1, 2]
    assert len({row["message"] for row in rows}) == 1


async def test_what_is_undone_is_not_told(ada: Holder) -> None:
    await ada.hook("https://example.com/")
    async with ada.gateway.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await oversight.adjust(
            connection, id=request_id.make(), actor=None, user=ada.user, amount=parse("5"), reason="x"
        )
        await transaction.rollback()

    assert await told(ada) == []


async def test_an_account_that_somebody_keeps_locked_silences_no_other(ada: Holder, bob: Holder) -> None:
    for holder in (ada, bob):
        await holder.hook("https://example.com/", [LOW])
        await below(holder, "99.5")
        await holder.call()
        await holder.customer.settled()

    async with ada.gateway.pool.acquire() as connection, connection.transaction():
        await usage.locked(connection, ada.customer.account)
        await watch(ada).look()
        meanwhile = await told(ada)
    await watch(ada).look()

    assert meanwhile == [(LOW, "99.5")]
    assert await told(ada) == [(LOW, "99.5")] * 2


async def test_one_process_has_the_turn(ada: Holder) -> None:
    pool = ada.gateway.pool
    await pool.execute("UPDATE webhook_looks SET looked_at = '-infinity'")

    turns = await asyncio.gather(*(thresholds.has_turn(pool, 60) for _ in range(8)))

    assert sorted(turns) == [False] * 7 + [True]
