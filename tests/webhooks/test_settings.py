"""The table of config.toml: what it refuses, and that nothing is there without it."""

import asyncio
from pathlib import Path

import pytest

from nijika.errors import ConfigError
from nijika.state import COURIER
from tests.browsing import SESSION_CHAIN, browser, person
from tests.conftest import Start
from tests.gateway import CHAIN, configuration, loaded

HOOKS = '[[routes]]\nuse = "webhooks"\n'
DASHBOARD = '[[routes]]\nuse = "login"\n[[routes]]\nuse = "dashboard"\n'


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ('allow = ["10.0.0.1/8"]', 'routes[0].allow[0]: a network is written such as "10.0.0.0/8"'),
        ('allow = ["example.com"]', 'routes[0].allow[0]: a network is written such as "10.0.0.0/8"'),
        ("allow = [10]", 'routes[0].allow[0]: a network is written such as "10.0.0.0/8"'),
        ("timeout_seconds = 0.5", "routes[0].timeout_seconds: "),
        ("timeout_seconds = 61", "routes[0].timeout_seconds: "),
        ("keep_days = 0", "routes[0].keep_days: "),
        ("alow = []", 'routes[0].alow: is not a setting (did you mean "allow"?)'),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, line: str, mistake: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, configuration("", chain=SESSION_CHAIN, routes=f"{HOOKS}{line}\n"))

    assert mistake in str(refused.value)


def test_it_needs_people_who_are_signed_in(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='"webhooks" needs "session"'):
        loaded(tmp_path, configuration("", chain=CHAIN, routes=HOOKS))


async def test_without_the_table_there_is_no_page_and_nothing_is_sent(start: Start) -> None:
    async with start(configuration("", chain=SESSION_CHAIN, routes=DASHBOARD)) as gateway:
        user = await person(gateway)
        async with browser(gateway, user) as here:
            overview = await here.page("/dashboard")
            page = await here.page("/dashboard/webhooks")

        working = [str(task.get_coro()) for task in asyncio.all_tasks()]
        assert (overview.status, page.status) == (200, 404)
        assert "/dashboard/webhooks" not in overview.text
        assert COURIER not in gateway.app
        assert not any("Courier" in name or "Watch" in name for name in working)
