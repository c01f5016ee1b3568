"""A key spends no more than its cap in a day and in a month, whatever its account has."""

import asyncio
from collections import Counter

import pytest

from nijika.credits import parse
from nijika.store import caps
from tests.gateway import Customer, Gateway
from tests.peers import answers
from tests.peers.upstream import Upstream

PATH = "/api/removebg"
WORKER = "/v1/cutout"


async def cap(gateway: Gateway, customer: Customer, *, day: str | None = None, month: str | None = None) -> int:
    day_max, month_max = (None if text is None else parse(text) for text in (day, month))
    async with gateway.pool.acquire() as connection, connection.transaction():
        key: int = await connection.fetchval("SELECT id FROM keys WHERE account = $1", customer.account)
        await caps.put(connection, key, day_max=day_max, month_max=month_max)
    return key


async def post(gateway: Gateway, customer: Customer) -> tuple[int, dict[str, str]]:
    async with gateway.session.post(PATH, data=b"p", headers=customer.fields) as answer:
        await answer.read()
        is_problem = answer.content_type == "application/problem+json"
        return answer.status, await answer.json(content_type=None) if is_problem else {}


@pytest.mark.parametrize("period", ["day", "month"])
async def test_beyond_its_cap_a_key_is_402_and_the_account_keeps_its_credit(
    gateway: Gateway, customer: Customer, upstream: Upstream, period: str
) -> None:
    upstream.plan(WORKER, answers.answer(200, b"x"))
    await cap(gateway, customer, **{period: "3"})

    results = await asyncio.gather(*(post(gateway, customer) for _ in range(10)))
    problem = next(problem for status, problem in results if status == 402)

    assert Counter(status for status, _ in results) == {200: 3, 402: 7}
    assert (problem["code"], problem["period"], problem["cap"], problem["used"]) == ("key-spend-cap", period, "3", "3")
    assert await customer.settled() == {"available": "97", "held": "0", "spent": "3", "granted": "100"}
    assert await gateway.violations() == {}


async def test_what_is_refunded_can_be_spent_again(gateway: Gateway, customer: Customer, upstream: Upstream) -> None:
    upstream.plan(WORKER, answers.failed(500), answers.answer(400), answers.answer(200, b"x"))
    await cap(gateway, customer, day="1", month="1")

    statuses = [(await post(gateway, customer))[0] for _ in range(4)]

    assert statuses == [502, 400, 200, 402]


async def test_what_was_spent_before_the_cap_counts(gateway: Gateway, customer: Customer, upstream: Upstream) -> None:
    upstream.plan(WORKER, answers.answer(200, b"x"))
    await post(gateway, customer)
    await post(gateway, customer)

    await cap(gateway, customer, day="3")
    statuses = [(await post(gateway, customer))[0] for _ in range(2)]

    assert statuses == [200, 402]


async def test_a_new_day_begins_anew_and_the_month_goes_on(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    upstream.plan(WORKER, answers.answer(200, b"x"))
    key = await cap(gateway, customer, day="1", month="2")

    statuses = []
    for _ in range(3):
        statuses += [(await post(gateway, customer))[0] for _ in range(2)]
        await gateway.pool.execute("UPDATE caps SET day = day - 1 WHERE key = $1", key)

    assert statuses == [200, 402, 200, 402, 402, 402]


async def test_a_cap_that_is_taken_away_is_gone(gateway: Gateway, customer: Customer, upstream: Upstream) -> None:
    upstream.plan(WORKER, answers.answer(200, b"x"))

    await cap(gateway, customer, day="0")
    refused, _ = await post(gateway, customer)
    await cap(gateway, customer)
    served, _ = await post(gateway, customer)

    assert (refused, served) == (402, 200)
