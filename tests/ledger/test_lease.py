"""Whose charges are given back, when, and by whom."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from nijika.errors import ChargeLost, ChargeUnknown, LedgerUnavailable
from nijika.ledger import Ledger, Settlement
from nijika.ledger.lease import Lease
from nijika.ledger.sweeper import Sweeper
from tests.ledger.conftest import Bank, hold_of


@asynccontextmanager
async def other(bank: Bank, seconds: float = 30) -> AsyncIterator[tuple[Lease, Ledger]]:
    """Another gateway on the same database."""
    async with Lease(bank.pool, seconds) as lease:
        ledger = Ledger(bank.pool, lease.id, fenced=lease.lose)
        try:
            yield lease, ledger
        finally:
            await ledger.close()


def sweeper(bank: Bank) -> Sweeper:
    return Sweeper(bank.pool, bank.lease, bank.ledger)


async def sweep(bank: Bank) -> int:
    """A pass, whoever made one a moment ago, once the database is old enough for it."""
    old_enough = "SELECT pg_postmaster_start_time() < clock_timestamp() - $1 * interval '1 second'"
    while not await bank.pool.fetchval(old_enough, bank.lease.seconds):
        await asyncio.sleep(0.1)
    await bank.pool.execute("UPDATE sweeps SET swept_at = '-infinity'")
    return await sweeper(bank).sweep()


async def silence(bank: Bank, lease: Lease, seconds: float = 3600) -> None:
    """Let the last heartbeat of a lease be so long ago, and the database's start longer."""
    await bank.pool.execute(
        "UPDATE instances SET beat_at = beat_at - $2 * interval '1 second', lease_seconds = 0.001 WHERE id = $1",
        lease.id,
        seconds,
    )


async def test_what_a_dead_process_held_is_given_back(bank: Bank) -> None:
    account, _ = await bank.account(100)
    async with other(bank) as (lease, ledger):
        charge = await ledger.hold(hold_of(account))
        await silence(bank, lease)

        given_back = await sweep(bank)

        assert given_back == 1
        assert await bank.balances(account) == (100, 0, 0)
        assert await bank.pool.fetchval("SELECT reason FROM charges WHERE id = $1", charge.id) == "owner-lost"
        assert await bank.violations() == {}


async def test_who_was_declared_dead_settles_nothing_any_more_and_is_told(bank: Bank) -> None:
    account, _ = await bank.account(100)
    async with other(bank) as (lease, ledger):
        await ledger.hold(hold_of(account))
        charge = await ledger.hold(hold_of(account))
        await silence(bank, lease)
        await sweep(bank)

        with pytest.raises(ChargeUnknown):
            await charge.capture(10, status=200)
        with pytest.raises(LedgerUnavailable):
            await ledger.hold(hold_of(account))

        assert lease.lost.is_set()
        assert not await lease.beat()
        assert await bank.balances(account) == (100, 0, 0)


async def test_a_capture_in_doubt_and_the_sweep_never_both_count(bank: Bank) -> None:
    account, _ = await bank.account(1000)
    async with other(bank) as (lease, ledger):
        charges = await asyncio.gather(*(ledger.hold(hold_of(account)) for _ in range(60)))
        await silence(bank, lease)

        captures = (charge.capture(10, status=200) for charge in charges)
        results, _ = await asyncio.gather(asyncio.gather(*captures, return_exceptions=True), sweep(bank))
        await sweep(bank)

    captured = results.count(None)
    assert await bank.balances(account) == (1000 - captured * 10, 0, captured * 10)
    assert await bank.violations() == {}


async def test_who_lives_keeps_its_charges_however_old(bank: Bank) -> None:
    account, _ = await bank.account(100)
    async with other(bank) as (_, ledger):
        charge = await ledger.hold(hold_of(account))
        await bank.pool.execute("UPDATE charges SET opened_at = opened_at - interval '5 hours'")

        assert await sweep(bank) == 0

        await charge.capture(10, status=200)
    assert await bank.balances(account) == (90, 0, 10)


async def test_a_charge_past_its_deadline_is_given_back_although_its_owner_lives(bank: Bank) -> None:
    account, _ = await bank.account(100)
    charge = await bank.ledger.hold(hold_of(account))
    await bank.pool.execute("UPDATE charges SET deadline = now() - interval '1 second'")

    await sweep(bank)

    assert await bank.pool.fetchval("SELECT reason FROM charges") == "deadline-passed"
    with pytest.raises(ChargeLost):
        await charge.capture(10, status=200)
    assert await bank.violations() == {}


async def test_nobody_is_declared_dead_within_a_lease_after_the_database_started(bank: Bank) -> None:
    """Nobody could reach it: silence says nothing."""
    async with other(bank) as (lease, _):
        await bank.pool.execute(
            "UPDATE instances SET beat_at = '-infinity', lease_seconds = $2 WHERE id = $1", lease.id, 10 * 86_400
        )

        await sweep(bank)

        assert await bank.pool.fetchval("SELECT dead_at FROM instances WHERE id = $1", lease.id) is None


async def test_nothing_is_swept_within_a_lease_after_the_database_started(bank: Bank) -> None:
    account, _ = await bank.account(100)
    async with other(bank) as (_, ledger):
        await ledger.hold(hold_of(account))
    bank.lease.seconds = 10 * 86_400

    assert await sweeper(bank).sweep() == 0
    assert await bank.balances(account) == (90, 10, 0)


async def test_who_commits_is_alive_whatever_its_heartbeat_waits_for(bank: Bank) -> None:
    account, _ = await bank.account(100)
    async with other(bank) as (lease, ledger):
        await bank.pool.execute("UPDATE instances SET beat_at = now() - interval '29 seconds' WHERE id = $1", lease.id)

        await ledger.hold(hold_of(account))

        age = "SELECT clock_timestamp() - beat_at < interval '5 seconds' FROM instances WHERE id = $1"
        assert await bank.pool.fetchval(age, lease.id)


async def test_a_free_run_below_the_floor_is_found(bank: Bank) -> None:
    account, _ = await bank.account(100)
    paid = await bank.ledger.hold(hold_of(account, name="k"))
    await paid.capture(10, status=200)
    paid.delivered(False)
    await bank.pool.execute("UPDATE sweeps SET floor = uuid_floor(now() + interval '1 hour')")
    async with other(bank) as (_, ledger):
        rerun = await ledger.hold(hold_of(account, name="k"))

    assert rerun.held == 0
    assert await sweep(bank) == 1


async def test_who_slept_itself_does_not_judge_others(bank: Bank) -> None:
    async with Lease(bank.pool, 0.6) as lease:
        await asyncio.sleep(0.7)
        awake = await lease.beat()
        await bank.pool.execute("UPDATE instances SET beat_at = beat_at - interval '1 hour' WHERE id = $1", lease.id)
        after_sleep = await lease.beat()
        await asyncio.sleep(0.7)
        awake_again = await lease.beat()

    assert (awake, after_sleep, awake_again) == (True, False, True)


async def test_a_new_process_does_not_judge_before_a_whole_lease_is_over(bank: Bank) -> None:
    assert not await bank.lease.beat()


async def test_who_ends_well_leaves_nothing_to_wait_for(bank: Bank) -> None:
    account, _ = await bank.account(100)
    async with other(bank) as (_, ledger):
        await ledger.hold(hold_of(account))

    assert await sweep(bank) == 1
    assert await bank.balances(account) == (100, 0, 0)


async def test_of_many_processes_one_sweeps_at_a_time(bank: Bank) -> None:
    account, _ = await bank.account(100)
    async with other(bank) as (_, ledger):
        await ledger.hold(hold_of(account))

    await sweep(bank)
    async with other(bank) as (_, ledger):
        await ledger.hold(hold_of(account))
    await bank.pool.execute("UPDATE sweeps SET swept_at = '-infinity'")

    passes = await asyncio.gather(*(sweeper(bank).sweep() for _ in range(5)))

    assert sorted(passes) == [0, 0, 0, 0, 1]


async def test_the_sweeper_does_not_read_all_of_history_again(bank: Bank) -> None:
    account, _ = await bank.account(100)
    await sweep(bank)
    floor = await bank.pool.fetchval("SELECT floor FROM sweeps")

    charge = await bank.ledger.hold(hold_of(account))
    await bank.pool.execute("UPDATE sweeps SET floor = uuid_floor(now() + interval '1 hour')")
    await sweep(bank)

    assert floor > await bank.pool.fetchval("SELECT uuid_floor(now() - interval '11 minutes')")
    assert await bank.pool.fetchval("SELECT floor FROM sweeps") <= charge.id


async def test_an_open_charge_of_a_clock_that_is_wrong_is_found_all_the_same(bank: Bank) -> None:
    account, _ = await bank.account(100)
    async with other(bank) as (_, ledger):
        await ledger.hold(hold_of(account))
    await bank.pool.execute("UPDATE sweeps SET floor = uuid_floor(now() + interval '1 hour')")

    assert await sweep(bank) == 1
    assert await bank.balances(account) == (100, 0, 0)


async def test_a_settlement_by_the_sweeper_is_final(bank: Bank) -> None:
    account, _ = await bank.account(100)
    async with other(bank) as (_, ledger):
        charge = await ledger.hold(hold_of(account))
    await sweep(bank)

    assert await bank.ledger.settle(Settlement(charge.id, account, 10, 200)) is None
    assert await bank.violations() == {}


async def test_housekeeping_makes_partitions_and_forgets_what_is_over(bank: Bank) -> None:
    account, _ = await bank.account(100)
    old, new, _ = [await bank.ledger.hold(hold_of(account, name=name)) for name in ("old", "new", "open")]
    for charge in (old, new):
        await charge.capture(10, status=200)
    await bank.pool.execute(
        "UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE name IN ('old', 'open')"
    )
    months = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'charges'::regclass"
    before = await bank.pool.fetchval(months)
    await bank.pool.execute(
        "DROP TABLE " + await bank.pool.fetchval("SELECT 'charges' || to_char(now() + interval '3 months', '_YYYY_MM')")
    )

    await sweeper(bank)._keep_house()

    assert [row["name"] for row in await bank.pool.fetch("SELECT name FROM idempotency_keys ORDER BY 1")] == [
        "new",
        "open",
    ]
    assert await bank.pool.fetchval(months) == before
