"""How the system does is told in figures that are right, and whether the money adds up is counted anew."""

import asyncio
from datetime import UTC, datetime
from typing import cast

import pytest

from nijika import request_id
from nijika.database import Pool
from nijika.errors import LedgerUnavailable
from nijika.ledger.verify import INVARIANTS
from nijika.pages.words import duration
from nijika.plugins.staff.ledger import Count, Verification
from nijika.plugins.staff.system import megabytes
from nijika.state import LEASE, UPSTREAMS
from tests.plugins.staff.conftest import Office, words

NO_POOL = cast("Pool", None)


async def charge(office: Office, account: int, state: str, *, reason: str | None = None, seconds: float = 1) -> None:
    """A charge that was opened a moment ago, by this gateway."""
    await office.gateway.pool.execute(
        """INSERT INTO charges (id, account, key, route, held, state, owner, deadline, reason, opened_at, settled_at)
           VALUES ($1, $2, 1, '/api/<b>', 1000000, $3, $4, now() + interval '1 hour', $5,
                   now() - $6 * interval '1 second', CASE WHEN $3 <> 'held' THEN now() END)""",
        request_id.make(),
        account,
        state,
        office.gateway.app[LEASE].id,
        reason,
        seconds,
    )


async def test_people_and_credits_are_summed(office: Office) -> None:
    admin, customer = await office.somebody("admin"), await office.gateway.customer("20")
    await office.person(suspended=True)
    old = await office.person()
    await office.gateway.pool.execute("UPDATE users SET created_at = now() - interval '31 days' WHERE id = $1", old)
    await office.calls(customer, 3)

    text = words(await admin.page("/staff/system"))

    assert "All 4 New in 30 days 3 Suspended 1" in text
    assert "Granted 20 Spent 3 Held 0 Available 17" in text
    assert "Succeeded 100.0% 3 paid, 0 refunded, 0 under way" in text


async def test_success_time_and_refunds_are_those_of_the_last_day(office: Office) -> None:
    admin, customer = await office.somebody("admin"), await office.gateway.customer()
    for seconds in range(1, 20):
        await charge(office, customer.account, "captured", seconds=seconds)
    for reason in ("upstream-timeout", "status-422", "status-422", "owner-lost", "<script>"):
        await charge(office, customer.account, "refunded", reason=reason, seconds=100)

    text = words(await admin.page("/staff/system"))

    assert "Succeeded 79.2% 19 paid, 5 refunded, 0 under way" in text
    assert "Time for half of them 10.0 s" in text
    assert "Time for 95 of 100 18.1 s" in text
    assert "The worker did not accept it (status 422). 2" in text
    assert "The worker took too long. 1" in text
    assert "<script> 1" in text


async def test_what_is_older_than_a_day_does_not_count(office: Office) -> None:
    admin = await office.somebody("admin")
    await office.gateway.pool.execute(
        """INSERT INTO charges (id, account, key, route, held, state, owner, deadline, opened_at, settled_at)
           VALUES (uuid_floor(now() - interval '25 hours'), 1, 1, '/x', 1, 'refunded', uuid_floor(now()), now(),
                   now() - interval '25 hours', now())"""
    )

    assert "Succeeded \u2013 0 paid, 0 refunded, 0 under way" in words(await admin.page("/staff/system"))


async def test_open_charges_are_listed_with_age_and_owner(office: Office) -> None:
    admin, customer = await office.somebody("admin"), await office.gateway.customer()
    await charge(office, customer.account, "held", seconds=300)

    page = await admin.page("/staff/system")

    assert "5 min /api/<b> 1 user " in words(page)
    assert "/api/&lt;b&gt;" in page.text
    assert "1 of 1 fine 0" in words(page)


async def test_an_address_that_rests_is_shown_with_the_words_of_its_failure(office: Office) -> None:
    admin = await office.somebody("admin")
    (upstream,) = office.gateway.app[UPSTREAMS].values()
    (place,) = upstream.places
    place.health.unreachable("Cannot connect to <worker>", 0)
    resting = await admin.page("/staff/system")
    place.health.begin(resting)

    trial = await admin.page("/staff/system")

    assert "1 of 1 resting 0 1 1 Cannot connect to <worker>" in words(resting)
    assert "Cannot connect to &lt;worker&gt;" in resting.text
    assert "1 of 1 on trial 0 1 1" in words(trial)


async def test_an_empty_system_has_a_page(office: Office) -> None:
    admin = await office.somebody("admin")

    text = words(await admin.page("/staff/system"))

    assert "No call is under way." in text
    assert "alive" in text
    assert "The database takes " in text


async def test_a_busy_day_is_told_quickly(office: Office) -> None:
    admin, customer = await office.somebody("admin"), await office.gateway.customer()
    await office.gateway.pool.execute(
        """INSERT INTO charges (id, account, key, route, held, state, owner, deadline, opened_at, settled_at)
           SELECT (substr(uuid_floor(now())::text, 1, 24) || lpad(to_hex(n), 12, '0'))::uuid, $1, 1, '/x', 1, 'captured',
                  uuid_floor(now()), now(), now(), now() + n * interval '1 millisecond'
             FROM generate_series(1, 120000) n""",
        customer.account,
    )

    async with asyncio.timeout(5):
        text = words(await admin.page("/staff/system"))

    assert "The latest 100,000 of them." in text
    assert "100000 paid" in text


async def test_each_rule_of_the_ledger_is_told_with_its_count(office: Office) -> None:
    admin, customer = await office.somebody("admin"), await office.gateway.customer("20")

    good = await admin.page("/staff/system/ledger")
    await office.gateway.pool.execute(
        "UPDATE accounts SET spent = spent + 1, available = available - 1 WHERE id = $1", customer.account
    )
    bad = await admin.page("/staff/system/ledger")

    assert f"Yes. All {len(INVARIANTS)} rules hold." in words(good)
    assert good.text.count('<span class="badge good">holds</span>') == len(INVARIANTS)
    assert f"No. 2 of {len(INVARIANTS)} rules are broken." in words(bad)
    assert "Spent is the sum captured broken 1" in words(bad)
    assert "Balances are the replay of the journal broken 1" in words(bad)


class Slow:
    """Counts when it is told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, _: Pool) -> Count:
        self.begun += 1
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return Count({"rule": self.begun}, datetime.now(UTC), 0)


async def test_all_who_ask_meanwhile_share_one_count() -> None:
    slow = Slow()
    verification = Verification(slow)

    asking = [asyncio.create_task(verification.result(NO_POOL)) for _ in range(5)]
    await asyncio.sleep(0)
    slow.go.set()
    counts = await asyncio.gather(*asking)
    again = await verification.result(NO_POOL)

    assert [count and count.violations for count in counts] == [{"rule": 1}] * 5
    assert again is not None
    assert again.violations == {"rule": 2}


async def test_who_does_not_wait_long_enough_finds_the_count_later() -> None:
    slow = Slow()
    verification = Verification(slow, wait_seconds=0)

    impatient = [await verification.result(NO_POOL) for _ in range(3)]
    slow.go.set()
    await asyncio.sleep(0.01)
    found = await verification.result(NO_POOL)

    assert impatient == [None, None, None]
    assert found is not None
    assert slow.begun == 1


async def test_who_leaves_does_not_end_the_count_and_the_gateways_end_does() -> None:
    slow = Slow()
    verification = Verification(slow)

    asking = asyncio.create_task(verification.result(NO_POOL))
    await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.wait({asking})
    await asyncio.wait_for(verification.close(), 1)

    assert asking.cancelled()
    assert slow.begun == 1


async def test_a_count_that_failed_is_told_and_begun_anew() -> None:
    slow = Slow()
    slow.go.set()
    slow.error = LedgerUnavailable()
    verification = Verification(slow)

    with pytest.raises(LedgerUnavailable):
        await verification.result(NO_POOL)
    slow.error = None

    assert await verification.result(NO_POOL) is not None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.0004, "0 ms"),
        (0.12, "120 ms"),
        (1.999, "1999 ms"),
        (2, "2.0 s"),
        (119.94, "119.9 s"),
        (120, "2 min"),
        (7200, "2 h"),
        (172_800, "2 days"),
    ],
)
def test_a_time_span_is_as_short_as_can_be_read(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_sizes_are_in_units_that_people_compare() -> None:
    assert [megabytes(2**20), megabytes(5 * 2**29)] == ["1.0 MiB", "2.5 GiB"]
