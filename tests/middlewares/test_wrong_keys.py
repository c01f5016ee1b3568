"""Guessing keys is slow: wrong ones are counted by address, and a right one from elsewhere does not suffer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nijika.store.vault import make_key
from tests.gateway import Gateway, configuration, loaded, serving, upstream_table
from tests.redis import RedisServer

TRUSTING = '[[middlewares]]\nuse = "real_ip"\ntrusted_proxies = ["127.0.0.1"]\n'
ROUTES = '[[routes]]\nuse = "account"\n[[routes]]\nuse = "health"\n'
HERE, THERE = "203.0.113.1", "203.0.113.2"


class House:
    """Starts gateways beside each other, on one database."""

    def __init__(self, directory: Path, database: str) -> None:
        self._directory, self._database = directory, database

    @asynccontextmanager
    async def gateway(self, settings: str) -> AsyncIterator[Gateway]:
        chain = f'{TRUSTING}[[middlewares]]\nuse = "api_key"\n{settings}\n'
        text = configuration(upstream_table("http://127.0.0.1:9"), chain=chain, routes=ROUTES)
        async with serving(loaded(self._directory, text), self._database) as gateway:
            yield gateway


@pytest.fixture
def house(tmp_path: Path, database: str) -> House:
    return House(tmp_path, database)


async def ask(gateway: Gateway, key: str | None, address: str = HERE, path: str = "/api/account") -> tuple[int, str]:
    """Status and code."""
    fields = {"X-Forwarded-For": address} | ({} if key is None else {"X-API-Key": key})
    async with gateway.session.get(path, headers=fields) as answer:
        body = await answer.json(content_type=None)
        return answer.status, body.get("code", "")


async def guess(gateway: Gateway, count: int, address: str = HERE) -> list[int]:
    return [(await ask(gateway, make_key(), address))[0] for _ in range(count)]


async def test_after_too_many_wrong_keys_an_address_waits_and_others_do_not(house: House) -> None:
    async with house.gateway('failures = "3/h"') as gateway:
        customer = await gateway.customer()
        guesses = await guess(gateway, 6)
        right_from_there = await ask(gateway, customer.key, THERE)
        right_from_here = await ask(gateway, customer.key)
        elsewhere = await ask(gateway, None, path="/health")
        fields = {"X-Forwarded-For": HERE, "X-API-Key": make_key()}
        async with gateway.session.get("/api/account", headers=fields) as answer:
            retry_after, body = int(answer.headers["Retry-After"]), await answer.json(content_type=None)

    assert guesses == [401] * 3 + [429] * 3
    assert right_from_there == (200, "")
    assert right_from_here == (429, "too-many-wrong-keys")
    assert elsewhere[0] == 200
    assert 1100 < retry_after <= 1200
    assert body["detail"].startswith("Too many keys that are not valid came from your address.")


async def test_the_database_is_not_asked_for_an_address_that_waits(house: House, impatient: None) -> None:
    async with house.gateway('failures = "3/h"') as gateway:
        await guess(gateway, 3)
        await gateway.pool.close()

        waiting, another = await guess(gateway, 1), await guess(gateway, 1, THERE)

    assert (waiting, another) == ([429], [503])


async def test_malformed_keys_count_missing_and_right_ones_do_not(house: House) -> None:
    async with house.gateway('failures = "2/h"') as gateway:
        customer = await gateway.customer()
        harmless = [await ask(gateway, key) for key in (None, customer.key) for _ in range(5)]
        wrong = [await ask(gateway, "nonsense") for _ in range(3)]

    assert [status for status, _ in harmless] == [401] * 5 + [200] * 5
    assert [status for status, _ in wrong] == [401, 401, 429]


async def test_an_outage_of_the_database_is_not_the_callers_failure(house: House, impatient: None) -> None:
    async with house.gateway('failures = "2/h"') as gateway:
        await gateway.pool.close()

        assert await guess(gateway, 5) == [503] * 5


async def test_a_household_guesses_together(house: House) -> None:
    async with house.gateway('failures = "2/h"') as gateway:
        statuses = [(await guess(gateway, 1, f"2001:db8::{number}"))[0] for number in range(1, 4)]
        next_door = await guess(gateway, 1, "2001:db8:0:1::1")

    assert (statuses, next_door) == ([401, 401, 429], [401])


async def test_without_the_setting_nobody_waits(house: House) -> None:
    async with house.gateway("") as gateway:
        assert await guess(gateway, 30) == [401] * 30


async def test_gateways_on_one_redis_count_together(house: House, redis_server: RedisServer) -> None:
    settings = f'failures = "4/h"\nstore = "{redis_server.url}"'
    async with house.gateway(settings) as one, house.gateway(settings) as other:
        customer = await one.customer()
        guesses = await guess(one, 2) + await guess(other, 2)
        waiting = [*await guess(one, 1), *await guess(other, 1)]
        right_from_there = await ask(other, customer.key, THERE)

    assert guesses == [401] * 4
    assert waiting == [429, 429]
    assert right_from_there == (200, "")


async def test_while_redis_is_away_each_gateway_remembers_its_own(house: House, redis_server: RedisServer) -> None:
    settings = f'failures = "3/h"\nstore = "{redis_server.url}"'
    async with house.gateway(settings) as gateway:
        customer = await gateway.customer()
        before = await guess(gateway, 2)
        redis_server.stop()
        after = await guess(gateway, 3)
        right_from_there = await ask(gateway, customer.key, THERE)

    assert (before, after) == ([401, 401], [401, 429, 429])
    assert right_from_there == (200, "")
