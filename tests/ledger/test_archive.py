"""A month that is over leaves the tables, and the money still adds up."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from nijika import request_id
from nijika.errors import CommandError
from nijika.ledger import Hold
from nijika.ledger.archive import archive
from nijika.ledger.grant import grant
from nijika.store import usage
from tests.ledger.conftest import Bank, hold_of


def first_of_month(moment: date) -> date:
    return moment.replace(day=1)


@pytest.fixture
def this_month() -> date:
    return first_of_month((datetime.now(UTC) - timedelta(days=2)).date())


@pytest.fixture
def old_month(this_month: date) -> date:
    """A month that is over for long."""
    return first_of_month(this_month - timedelta(days=40))


async def spend(bank: Bank, account: int, month: date, *, captured: int, refunded: int, is_open: bool = False) -> None:
    """Calls in a month: ids of that time, in a partition of that time."""
    moment = datetime(month.year, month.month, 10, 12, tzinfo=UTC)
    await bank.pool.execute("SELECT make_partitions($1, 0)", moment)
    floor = await bank.pool.fetchval("SELECT uuid_floor($1)", moment)
    for number in range(captured + refunded + is_open):
        charge_id = UUID(int=floor.int + request_id.make().int % 10**9 + number)
        charge = await bank.ledger.hold(Hold(charge_id, account, 1, "/x", 10, 60))
        if number < captured:
            await charge.capture(7, status=200)
        elif number < captured + refunded:
            await charge.refund("test")
    await bank.pool.execute(
        "UPDATE charges SET opened_at = $1 WHERE id >= $2 AND id < $3",
        moment,
        floor,
        UUID(int=floor.int + 10**12),
    )


async def test_the_months_before_are_put_away_and_everything_still_adds_up(
    bank: Bank, old_month: date, this_month: date
) -> None:
    account, _ = await bank.account(1000)
    await spend(bank, account, old_month, captured=3, refunded=2)
    async with bank.pool.acquire() as connection:
        await grant(connection, await connection.fetchval("SELECT uuid_floor($1)", datetime(old_month.year, old_month.month, 11, tzinfo=UTC)), account, 50, "old")  # fmt: skip
    charge = await bank.ledger.hold(hold_of(account))
    await charge.capture(10, status=200)
    usage_before = [tuple(row) for row in await usage.by_day(bank.pool, account, 366)]

    async with bank.pool.acquire() as connection:
        months = await archive(connection, this_month)

    name = f"{old_month:%Y_%m}"
    assert months == [f"{old_month:%Y-%m}"]
    assert await bank.pool.fetchval("SELECT count(*) FROM charges") == 1
    assert await bank.pool.fetchval(f"SELECT count(*) FROM archive.charges_{name}") == 5
    assert await bank.pool.fetchval(f"SELECT count(*) FROM archive.journal_{name}") == 11
    assert [tuple(row) for row in await usage.by_day(bank.pool, account, 366)] == usage_before
    assert usage_before[-1][2:] == (3, 2, 0, 21)
    assert await bank.violations() == {}


async def test_verify_would_notice_if_the_sums_were_wrong(bank: Bank, old_month: date, this_month: date) -> None:
    account, _ = await bank.account(1000)
    await spend(bank, account, old_month, captured=1, refunded=0)
    async with bank.pool.acquire() as connection:
        await archive(connection, this_month)

    await bank.pool.execute("UPDATE usage_daily SET spent = spent + 1")
    await bank.pool.execute("UPDATE journal_monthly SET spent = spent + 1, available = available - 1")

    assert set(await bank.violations()) == {"spent is the sum captured", "balances are the replay of the journal"}


async def test_a_month_with_an_open_charge_stays_and_can_still_be_settled(
    bank: Bank, old_month: date, this_month: date
) -> None:
    account, _ = await bank.account(1000)
    await spend(bank, account, old_month, captured=1, refunded=0, is_open=True)

    async with bank.pool.acquire() as connection:
        with pytest.raises(CommandError, match=r"1 charges of .* still open"):
            await archive(connection, this_month)
    row = await bank.pool.fetchrow("SELECT id FROM charges WHERE settled_at IS NULL")
    assert row is not None
    await bank.pool.execute("UPDATE instances SET dead_at = now() WHERE id <> $1", bank.lease.id)
    await bank.pool.execute("UPDATE charges SET deadline = now() - interval '1 day' WHERE settled_at IS NULL")

    assert await bank.violations() == {"none open long past its deadline": 1}


async def test_a_month_that_is_not_over_is_refused_with_a_sentence(bank: Bank, this_month: date) -> None:
    async with bank.pool.acquire() as connection:
        with pytest.raises(CommandError, match="Only months before"):
            await archive(connection, first_of_month(this_month + timedelta(days=40)))


async def test_who_reads_the_journal_for_long_makes_the_archive_wait_and_no_gateway(
    bank: Bank, old_month: date, this_month: date
) -> None:
    account, _ = await bank.account(1000)
    await spend(bank, account, old_month, captured=1, refunded=0)

    async with bank.pool.acquire() as reader, bank.pool.acquire() as connection:
        async with reader.transaction():
            await reader.fetch("SELECT count(*) FROM journal")
            archiving = asyncio.create_task(archive(connection, this_month))
            for _ in range(20):
                charge = await bank.ledger.hold(hold_of(account))
                await charge.capture(10, status=200)
                await asyncio.sleep(0.1)
            assert not archiving.done()
        months = await archiving

    assert months == [f"{old_month:%Y-%m}"]
    assert await bank.violations() == {}


async def test_gateways_go_on_while_months_are_put_away(bank: Bank, old_month: date, this_month: date) -> None:
    account, _ = await bank.account(1_000_000)
    await spend(bank, account, old_month, captured=5, refunded=5)
    stop = asyncio.Event()

    async def go_on() -> int:
        calls = 0
        while not stop.is_set() or calls == 0:
            charge = await bank.ledger.hold(hold_of(account))
            await charge.capture(10, status=200)
            calls += 1
        return calls

    calls = [asyncio.create_task(go_on()) for _ in range(8)]
    async with bank.pool.acquire() as connection:
        await archive(connection, this_month)
    stop.set()
    done = sum(await asyncio.gather(*calls))

    assert (await bank.balances(account))[2] == done * 10 + 35
    assert await bank.violations() == {}
