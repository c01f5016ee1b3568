"""What a program can ask about its own account, and that it learns nothing of any other."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from nijika import request_id
from tests.gateway import Customer, Gateway
from tests.peers import answers
from tests.peers.upstream import Upstream

PRICED = "/api/removebg"


async def get(gateway: Gateway, customer: Customer, path: str) -> tuple[int, dict[str, Any]]:
    async with gateway.session.get(f"{gateway.url}{path}", headers=customer.fields) as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.status, await answer.json(content_type=None)


async def call(gateway: Gateway, customer: Customer) -> str:
    """Make a priced call; gives the id of its charge."""
    async with gateway.session.post(PRICED, data=b"p", headers=customer.fields) as answer:
        await answer.read()
    await customer.settled()
    return answer.headers["X-Request-ID"]


@pytest.mark.parametrize("path", ["/api/account", "/api/usage", f"/api/charges/{UUID(int=1)}"])
async def test_all_of_it_needs_a_key_and_costs_nothing(gateway: Gateway, customer: Customer, path: str) -> None:
    async with gateway.session.get(path) as without:
        pass
    async with gateway.session.get(path, headers=customer.fields) as having:
        pass
    async with gateway.session.post(path, headers=customer.fields) as posted:
        pass

    assert without.status == 401
    assert having.status in {200, 404}
    assert (posted.status, posted.headers["Allow"]) == (405, "GET, HEAD")
    assert (await customer.balances())["available"] == "100"


async def test_the_account_tells_its_balances_as_decimal_text(gateway: Gateway, upstream: Upstream) -> None:
    customer = await gateway.customer("12.345678")
    upstream.plan("*", answers.answer(200))
    await call(gateway, customer)

    status, body = await get(gateway, customer, "/api/account")

    created = body.pop("created_at")
    assert status == 200
    assert body == {
        "account": customer.account,
        "available": "11.345678",
        "held": "0",
        "spent": "1",
        "granted": "12.345678",
    }
    assert created.endswith("Z")
    assert abs(datetime.fromisoformat(created) - datetime.now(UTC)) < timedelta(minutes=5)


async def test_a_head_request_is_answered_without_a_body(gateway: Gateway, customer: Customer) -> None:
    async with gateway.session.head("/api/account", headers=customer.fields) as answer:
        body = await answer.read()

    assert (answer.status, body) == (200, b"")


async def test_usage_counts_calls_by_day_and_route(gateway: Gateway, upstream: Upstream) -> None:
    customer, other = await gateway.customer(), await gateway.customer()
    upstream.plan(
        "*", answers.answer(200), answers.answer(200), answers.failed(), answers.answer(400), answers.answer(200)
    )
    for _ in range(4):
        await call(gateway, customer)
    await call(gateway, other)

    status, body = await get(gateway, customer, "/api/usage")

    assert status == 200
    assert body == {
        "usage": [
            {
                "day": datetime.now(UTC).date().isoformat(),
                "route": PRICED,
                "calls": {"captured": 2, "refunded": 2, "held": 0},
                "spent": "2",
            }
        ]
    }


async def test_usage_of_so_many_days_counts_today_among_them(gateway: Gateway, customer: Customer) -> None:
    await _charge_days_ago(gateway, customer, [0, 0, 1, 6, 7, 40])

    told = {days: (await get(gateway, customer, f"/api/usage?days={days}"))[1]["usage"] for days in (1, 2, 7, 8, 366)}

    today = datetime.now(UTC).date()
    assert {days: [row["spent"] for row in rows] for days, rows in told.items()} == {
        1: ["0.5"],
        2: ["0.5", "0.25"],
        7: ["0.5", "0.25", "0.25"],
        8: ["0.5", "0.25", "0.25", "0.25"],
        366: ["0.5", "0.25", "0.25", "0.25", "0.25"],
    }
    days_ago = [(today - datetime.fromisoformat(row["day"]).date()).days for row in told[366]]
    assert days_ago == [0, 1, 6, 7, 40]
    assert (await get(gateway, customer, "/api/usage"))[1]["usage"] == told[8]


async def test_an_account_without_calls_has_no_usage(gateway: Gateway, customer: Customer) -> None:
    assert await get(gateway, customer, "/api/usage") == (200, {"usage": []})


@pytest.mark.parametrize(
    "days",
    [
        "",
        "0",
        "-1",
        "367",
        "1000",
        "1.5",
        "1e2",
        "x",
        "+7",
        "%207",
        "7%0A",
        "%D9%A7",
        "%C2%B2",
        "00019999",
        "000199999999999",
        "0001" + "0" * 5000,
        "9" * 5000,
    ],
    ids=lambda days: days[:20],
)
async def test_days_that_are_none_are_refused(gateway: Gateway, customer: Customer, days: str) -> None:
    status, body = await get(gateway, customer, f"/api/usage?days={days}")

    assert (status, body["code"]) == (400, "bad-parameter")
    assert body["detail"] == "days is a whole number from 1 to 366."


async def test_a_charge_tells_its_end(gateway: Gateway, customer: Customer, upstream: Upstream) -> None:
    upstream.plan("*", answers.answer(200), answers.failed())
    good, bad = await call(gateway, customer), await call(gateway, customer)

    captured = await get(gateway, customer, f"/api/charges/{good}")
    refunded = await get(gateway, customer, f"/api/charges/{bad}")

    assert (captured[0], refunded[0]) == (200, 200)
    names = ("id", "state", "route", "held", "captured")
    assert [captured[1][name] for name in names] == [good, "captured", PRICED, "1", "1"]
    assert captured[1]["status"] == 200
    assert captured[1]["reason"] is None
    assert [refunded[1][name] for name in names] == [bad, "refunded", PRICED, "1", "0"]
    assert refunded[1]["reason"]
    for body in (captured[1], refunded[1]):
        opened, settled = (datetime.fromisoformat(body[name]) for name in ("opened_at", "settled_at"))
        assert opened <= settled


async def test_an_open_charge_is_held(gateway: Gateway, customer: Customer) -> None:
    await _charge_days_ago(gateway, customer, [0])
    await gateway.pool.execute("UPDATE charges SET state = 'held', captured = 0, settled_at = NULL")
    charge = await gateway.pool.fetchval("SELECT id FROM charges")

    status, body = await get(gateway, customer, f"/api/charges/{charge}")

    assert (status, body["state"], body["settled_at"]) == (200, "held", None)


async def test_a_charge_of_somebody_else_is_not_there(gateway: Gateway, customer: Customer, upstream: Upstream) -> None:
    upstream.plan("*", answers.answer(200))
    other = await gateway.customer()
    charge = await call(gateway, other)

    foreign = await get(gateway, customer, f"/api/charges/{charge}")
    unknown = await get(gateway, customer, f"/api/charges/{request_id.make()}")

    alike = ("status", "code", "title", "detail")
    assert (foreign[0], unknown[0]) == (404, 404)
    assert [foreign[1][name] for name in alike] == [unknown[1][name] for name in alike]


@pytest.mark.parametrize("id", ["x", "0", "-1", "1'--", "%00x", "0" * 500, "*", "%7Bid%7D", "null"])
async def test_what_is_no_id_is_not_there(gateway: Gateway, customer: Customer, id: str) -> None:
    async with gateway.session.get(f"{gateway.url}/api/charges/{id}", headers=customer.fields) as answer:
        body = await answer.json(content_type=None)

    assert answer.status in ({400} if id == "%00x" else {404})
    assert body["status"] == answer.status


@pytest.mark.parametrize("path", ["/api/account", "/api/usage", f"/api/charges/{UUID(int=1)}"])
async def test_while_the_database_is_away_nothing_is_told(
    gateway: Gateway, customer: Customer, path: str, impatient: None
) -> None:
    await gateway.pool.close()

    async with gateway.session.get(path, headers=customer.fields) as answer:
        body = await answer.json(content_type=None)

    assert (answer.status, body["code"], answer.headers["Retry-After"]) == (503, "ledger-unavailable", "5")


async def _charge_days_ago(gateway: Gateway, customer: Customer, days: list[int]) -> None:
    """Captured charges of 0.25 credits, as they were made so many days ago."""
    for number, ago in enumerate(days):
        await gateway.pool.execute(
            """INSERT INTO charges (id, account, key, route, held, captured, state, owner, deadline, status,
                                    opened_at, settled_at)
               SELECT overlay(uuid_floor(at)::text PLACING lpad($3::text, 12, '0') FROM 25)::uuid, $1, 1, '/api/removebg',
                      250000, 250000, 'captured', gen_random_uuid(), at, 200, at, at
                 FROM (SELECT now() - make_interval(days => $2)) AS moment (at)""",
            customer.account,
            ago,
            str(number),
        )
