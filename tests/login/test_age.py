"""An account at a provider counts once it is one calendar month old, to the second."""

from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from nijika.login.identity import is_old_enough, moment, month_after, plain_name
from tests.gateway import Gateway
from tests.login.people import everyone, signed_in, written
from tests.providers.provider import Provider

SECOND = timedelta(seconds=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("created", "month_later"),
    [
        ("2026-01-15T12:00:00", "2026-02-15T12:00:00"),
        ("2026-01-28T12:00:00", "2026-02-28T12:00:00"),
        ("2026-01-29T12:00:00", "2026-02-28T12:00:00"),
        ("2026-01-31T23:59:59", "2026-02-28T23:59:59"),
        ("2028-01-31T00:00:00", "2028-02-29T00:00:00"),
        ("2028-01-29T00:00:00", "2028-02-29T00:00:00"),
        ("2026-02-28T00:00:00", "2026-03-28T00:00:00"),
        ("2026-03-31T08:00:00", "2026-04-30T08:00:00"),
        ("2026-04-30T08:00:00", "2026-05-30T08:00:00"),
        ("2026-05-31T08:00:00", "2026-06-30T08:00:00"),
        ("2026-12-31T08:00:00", "2027-01-31T08:00:00"),
        ("2100-01-31T08:00:00", "2100-02-28T08:00:00"),
    ],
)
def test_a_month_is_a_calendar_month_exact_to_the_second(created: str, month_later: str) -> None:
    assert month_after(at(created)) == at(month_later)
    assert not is_old_enough(at(created), at(month_later) - SECOND)
    assert is_old_enough(at(created), at(month_later))
    assert is_old_enough(at(created), at(month_later) + SECOND)


def test_a_missing_date_and_one_to_come_are_not_old_enough() -> None:
    now = at("2026-06-15T00:00:00")

    assert not is_old_enough(None, now)
    assert not is_old_enough(now + SECOND, now)
    assert not is_old_enough(now, now)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2015-01-02T03:04:05Z", datetime(2015, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2015-01-02T03:04:05.678Z", datetime(2015, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)),
        ("2015-01-02T05:04:05+02:00", datetime(2015, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2015-01-02T03:04:05", None),
        ("2015-01-02", None),
        ("yesterday", None),
        ("", None),
        (1_420_167_845, None),
        (None, None),
    ],
)
def test_a_date_counts_when_it_says_which_moment_it_means(text: object, read: datetime | None) -> None:
    assert moment(text) == read


def test_a_name_is_one_line_that_can_be_seen() -> None:
    assert plain_name(None, "", " \t ", "a\r\nb\x00\u202ec") == "a b c"
    assert plain_name("x" * 500) == "x" * 100
    assert plain_name(None, 7) == "somebody"


@pytest.mark.parametrize(
    ("created_at", "status"),
    [
        (lambda: written(_month_ago() - timedelta(hours=1)), 200),
        (lambda: written(_month_ago() + timedelta(hours=2)), 403),
        (lambda: written(datetime.now(UTC)), 403),
        (lambda: written(datetime.now(UTC) + timedelta(days=400)), 403),
        (lambda: "2015-01-02T03:04:05", 403),
        (lambda: "long ago", 403),
        (lambda: 1_420_167_845, 403),
        (lambda: ..., 403),
    ],
)
async def test_an_account_of_less_than_a_month_or_of_unknown_age_cannot_sign_up(
    site: Gateway, provider: Provider, visitor: aiohttp.ClientSession, created_at: object, status: int
) -> None:
    assert callable(created_at)
    await provider.person(1, created_at=created_at())

    answer = await signed_in(visitor, site, provider)

    assert answer.status == status
    assert len(await everyone(site)) == (1 if status == 200 else 0)
    assert ("at least one month old" in await answer.text()) == (status == 403)


async def test_a_young_account_is_not_linked_by_its_email(
    site: Gateway, github: Provider, gitlab: Provider, visitor: aiohttp.ClientSession
) -> None:
    await github.person(1)
    await gitlab.person(1, created_at=written(datetime.now(UTC)))
    await signed_in(visitor, site, github)
    visitor.cookie_jar.clear()

    answer = await signed_in(visitor, site, gitlab)

    assert answer.status == 403
    assert [user["linked"] for user in await everyone(site)] == [["github"]]


def _month_ago() -> datetime:
    """The latest moment of which a month has passed."""
    now = datetime.now(UTC)
    ago = now - timedelta(days=27)
    while not is_old_enough(ago, now):
        ago -= timedelta(hours=1)
    return ago
