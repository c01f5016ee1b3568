"""Usage over a day, a month and a year adds up, by route and by result, and is drawn as it is."""

import re
from datetime import UTC, datetime

import pytest

from nijika.pages.chart import Bar, ceiling, stacked
from nijika.pages.consumption import SPANS
from tests.gateway import Gateway
from tests.plugins.dashboard.conftest import Holder

PARTS = (("captured", "paid"), ("refunded", "refunded"))


async def _charge(
    site: Gateway, holder: Holder, ago: str, state: str = "captured", route: str = "/api/removebg"
) -> None:
    await site.pool.execute(
        f"""INSERT INTO charges (id, account, key, route, held, captured, state, owner, deadline, opened_at, settled_at)
            SELECT (overlay(uuid_floor(at)::text PLACING substr(gen_random_uuid()::text, 25) FROM 25))::uuid, $1, 1, $3,
                   2000000, CASE $2 WHEN 'captured' THEN 2000000 ELSE 0 END, $2, gen_random_uuid(), at, at, at
              FROM (SELECT now() - interval '{ago}' AS at) t""",
        holder.customer.account,
        state,
        route,
    )


def _stats(page: str) -> list[str]:
    return [re.sub(r"<.*?>|\s", "", text) for text in re.findall(r"<dd>(.*?)(?:<small>|</dd>)", page)]


@pytest.mark.parametrize(
    ("span", "spent", "paid", "refunded"), [("24h", "2", "1", "1"), ("30d", "4", "2", "1"), ("12m", "6", "3", "1")]
)
async def test_each_span_counts_what_lies_in_it(
    site: Gateway, ada: Holder, bob: Holder, span: str, spent: str, paid: str, refunded: str
) -> None:
    for ago in ("1 minute", "3 days", "100 days", "800 days"):
        await _charge(site, ada, ago)
    await _charge(site, ada, "1 minute", "refunded")
    await _charge(site, bob, "1 minute")

    page = (await ada.browser.page(f"/dashboard/usage?span={span}")).text

    assert _stats(page) == [spent, paid, refunded]
    assert "<svg" in page
    assert page.count("<title>") > 1


async def test_months_that_were_archived_count(site: Gateway, ada: Holder) -> None:
    await site.pool.execute(
        """INSERT INTO usage_daily (account, day, route, captured, refunded, spent)
           VALUES ($1, (now() - interval '200 days')::date, '/api/old', 7, 2, 7000000)""",
        ada.customer.account,
    )

    page = (await ada.browser.page("/dashboard/usage?span=12m")).text

    assert _stats(page) == ["7", "7", "2"]
    assert "/api/old" in page


async def test_one_route_can_be_looked_at(site: Gateway, ada: Holder) -> None:
    await _charge(site, ada, "1 minute")
    await _charge(site, ada, "1 minute", route="/api/other")

    page = (await ada.browser.page("/dashboard/usage?span=24h&route=/api/other")).text

    assert _stats(page) == ["2", "1", "0"]


async def test_more_routes_than_colours_are_shown_together(site: Gateway, ada: Holder) -> None:
    for number in range(7):
        await _charge(site, ada, "1 minute", route=f"/api/route{number}")

    page = (await ada.browser.page("/dashboard/usage?span=24h")).text

    assert "others" in page
    assert _stats(page)[0] == "14"
    assert all(f"<code>/api/route{number}</code>" in page for number in range(7))


async def test_without_calls_the_page_says_so(ada: Holder) -> None:
    for span in ("24h", "30d", "12m", "nonsense"):
        page = await ada.browser.page(f"/dashboard/usage?span={span}")
        assert page.status == 200
        assert "No calls in the last" in page.text


def test_steps_begin_where_hours_days_and_months_do() -> None:
    now = datetime(2026, 3, 31, 15, 42, 7, tzinfo=UTC)

    hours, days, months = (SPANS[span].starts(now) for span in ("24h", "30d", "12m"))

    assert (hours[0], hours[-1], len(hours)) == (_at(3, 30, 16), _at(3, 31, 15), 24)
    assert (days[0], days[-1], len(days)) == (_at(3, 2), _at(3, 31), 30)
    assert (months[0], months[-1], len(months)) == (datetime(2025, 4, 1, tzinfo=UTC), _at(3, 1), 12)
    assert months[-2] == _at(2, 1)


def test_a_chart_stacks_its_parts_within_its_frame() -> None:
    chart = stacked([Bar("a", (3, 1)), Bar("b", (0, 0)), Bar("c", (0, 2))], PARTS, unit="calls")

    assert [(box.part, box.title) for box in chart.boxes] == [
        ("captured", "a: 3 calls, paid"),
        ("refunded", "a: 1 calls, refunded"),
        ("refunded", "c: 2 calls, refunded"),
    ]
    below, above, _ = chart.boxes
    assert above.y + above.height == pytest.approx(below.y, abs=0.02)
    assert below.height == pytest.approx(3 * above.height, abs=0.05)
    assert all(box.x >= 0 and box.x + box.width <= chart.width for box in chart.boxes)
    assert all(box.y >= 0 and box.y + box.height <= chart.height for box in chart.boxes)


def test_a_chart_of_nothing_can_be_drawn() -> None:
    assert stacked([], PARTS).boxes == ()
    assert stacked([Bar("a", (0, 0))], PARTS).boxes == ()


@pytest.mark.parametrize(
    ("value", "end"), [(0, 4), (0.03, 0.04), (1, 1), (3, 4), (5, 8), (9, 10), (10, 10), (4_001, 8_000)]
)
def test_an_axis_ends_at_a_number_to_read(value: float, end: float) -> None:
    assert ceiling(value) == pytest.approx(end)


def _at(month: int, day: int, hour: int = 0) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)
