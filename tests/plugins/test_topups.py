"""Credit that a payment system asks for: once for each of its ids, by an admin's key for just that."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from nijika.state import VAULT
from nijika.store import keys, users
from tests.conftest import Start
from tests.gateway import CHAIN, ROUTES, Customer, Gateway, configuration, upstream_table
from tests.peers.upstream import Upstream

PATH = "/api/staff/credits"


@pytest.fixture
async def gateway(start: Start, upstream: Upstream) -> AsyncIterator[Gateway]:
    routes = ROUTES + '[[routes]]\nuse = "topups"\n[[routes]]\nuse = "openapi"\n'
    chain = '[[middlewares]]\nuse = "session"\n' + CHAIN
    async with start(configuration(upstream_table(upstream.url), chain=chain, routes=routes)) as gateway:
        yield gateway


@pytest.fixture
async def operator(gateway: Gateway) -> Customer:
    """An admin's key for this route alone."""
    return await with_role(gateway, "admin")


async def with_role(gateway: Gateway, role: str, scopes: list[str] | None = None) -> Customer:
    async with gateway.pool.acquire() as connection:
        _, account = await users.add(connection, name=role, email=None, role=role)
        key = await keys.make(
            connection, gateway.app[VAULT], account=account, name="k", scopes=[PATH] if scopes is None else scopes
        )
    return Customer(gateway, account, key.text)


def asked(customer: Customer, amount: str = "25", id: str = "pi_17", **more: Any) -> dict[str, Any]:
    return {"id": id, "account": customer.account, "amount": amount, "reason": f"Payment {id}", **more}


async def ask(operator: Customer, body: Any) -> tuple[int, dict[str, Any]]:
    async with operator.gateway.session.post(PATH, json=body, headers=operator.fields) as answer:
        return answer.status, await answer.json(content_type=None)


async def available(customer: Customer) -> str:
    return str((await customer.settled())["available"])


async def test_a_payment_gives_credit_once_however_often_it_is_told_of(
    gateway: Gateway, operator: Customer, customer: Customer
) -> None:
    body = asked(customer)

    answers = await asyncio.gather(*(ask(operator, body) for _ in range(20)))

    assert {status for status, _ in answers} == {200}
    assert sorted(answer["repeated"] for _, answer in answers) == [False, *[True] * 19]
    assert {(answer["id"], answer["amount"]) for _, answer in answers} == {("pi_17", "25")}
    assert await available(customer) == "125"
    assert await gateway.violations() == {}


async def test_another_payment_is_another_credit_and_a_chargeback_takes_it_back(
    gateway: Gateway, operator: Customer, customer: Customer
) -> None:
    first = await ask(operator, asked(customer, "0.000001"))
    second = await ask(operator, asked(customer, "25", "pi_18"))
    back = await ask(operator, asked(customer, "-25", "re_18"))

    assert [answer["available"] for _, answer in (first, second, back)] == ["100.000001", "125.000001", "100.000001"]
    assert (await customer.settled())["granted"] == "100.000001"
    assert await gateway.violations() == {}


@pytest.mark.parametrize("change", [{"amount": "26"}, {"amount": "-25"}])
async def test_an_id_that_stood_for_something_else_changes_nothing(
    operator: Customer, customer: Customer, change: dict[str, str]
) -> None:
    await ask(operator, asked(customer))

    status, problem = await ask(operator, asked(customer) | change)

    assert (status, problem["code"]) == (409, "topup-reused")
    assert await available(customer) == "125"


async def test_an_id_belongs_to_one_account(gateway: Gateway, operator: Customer, customer: Customer) -> None:
    other = await gateway.customer()
    await ask(operator, asked(customer))

    status, problem = await ask(operator, asked(other))

    assert (status, problem["code"]) == (409, "topup-reused")
    assert await available(other) == "100"


async def test_more_than_there_is_cannot_be_taken_and_its_id_stays_free(operator: Customer, customer: Customer) -> None:
    status, problem = await ask(operator, asked(customer, "-101"))
    again, _ = await ask(operator, asked(customer, "1"))

    assert (status, problem["code"]) == (409, "below-zero")
    assert again == 200
    assert await available(customer) == "101"


async def test_it_is_in_the_audit_with_the_admin_whose_key_it_was(
    gateway: Gateway, operator: Customer, customer: Customer
) -> None:
    await ask(operator, asked(customer))

    rows = await gateway.pool.fetch("SELECT * FROM audit")
    admin = await gateway.pool.fetchval("SELECT id FROM users WHERE account = $1", operator.account)
    assert [(row["action"], row["actor"], row["reason"]) for row in rows] == [("credits given", admin, "Payment pi_17")]


@pytest.mark.parametrize("role", ["user", "moderator"])
async def test_whoever_is_no_admin_gives_nothing_even_with_the_scope(
    gateway: Gateway, customer: Customer, role: str
) -> None:
    status, problem = await ask(await with_role(gateway, role), asked(customer))

    assert (status, problem["code"]) == (403, "not-allowed")
    assert await available(customer) == "100"


async def test_an_admins_usual_key_will_not_do(gateway: Gateway, operator: Customer, customer: Customer) -> None:
    async with gateway.pool.acquire() as connection:
        everywhere = await keys.make(connection, gateway.app[VAULT], account=operator.account, name="k")
    usual = Customer(gateway, operator.account, everywhere.text)

    status, problem = await ask(usual, asked(customer))

    assert (status, problem["code"]) == (403, "key-out-of-scope")
    assert await available(customer) == "100"


async def test_an_account_that_is_not_there_gets_nothing_and_its_id_stays_free(
    operator: Customer, customer: Customer
) -> None:
    status, problem = await ask(operator, asked(customer) | {"account": 999_999})

    assert (status, problem["code"]) == (404, "not-found")
    assert (await ask(operator, asked(customer)))[0] == 200


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"amount": 25}, "amount"),
        ({"amount": "25.0000001"}, "amount"),
        ({"amount": "1e3"}, "amount"),
        ({"amount": "+1"}, "amount"),
        ({"amount": "0"}, "nothing can be"),
        ({"amount": "1000000000001"}, "at most 1000000000000"),
        ({"account": "1"}, "account"),
        ({"account": 0}, "account"),
        ({"account": 2**63}, "account"),
        ({"account": True}, "account"),
        ({"id": ""}, "id"),
        ({"id": "x" * 256}, "id"),
        ({"id": "a\u0000b"}, "id"),
        ({"reason": ""}, "reason"),
        ({"reason": "a\u0000b"}, "reason"),
        ({"reasn": "x"}, "reasn"),
    ],
)
async def test_what_cannot_be_meant_is_refused_by_name(
    operator: Customer, customer: Customer, change: dict[str, Any], says: str
) -> None:
    status, problem = await ask(operator, asked(customer) | change)

    assert (status, problem["code"]) == (400, "bad-parameter")
    assert says in problem["detail"]
    assert await available(customer) == "100"


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"\xff", b'{"id": "\\ud800"}', b"[" * 16_000])
async def test_what_is_no_json_of_this_kind_is_refused_with_an_example(operator: Customer, body: bytes) -> None:
    headers = operator.fields | {"Content-Type": "application/json"}
    async with operator.gateway.session.post(PATH, data=body, headers=headers) as answer:
        problem = await answer.json(content_type=None)

    assert (answer.status, problem["code"]) == (400, "bad-parameter")
    assert '{"id": "pi_17"' in problem["detail"]


async def test_the_reference_says_what_is_asked_for(gateway: Gateway) -> None:
    async with gateway.session.get("/openapi.json") as answer:
        document = json.loads(await answer.read())

    operation = document["paths"][PATH]["post"]
    assert operation["requestBody"]["content"] == {
        "application/json": {"schema": {"$ref": "#/components/schemas/TopUpRequest"}}
    }
    assert document["components"]["schemas"]["TopUpRequest"]["required"] == ["id", "account", "amount", "reason"]
    assert {"400", "401", "403", "404", "409"} <= operation["responses"].keys()


async def test_an_account_may_be_written_as_json_writes_numbers_elsewhere(
    operator: Customer, customer: Customer
) -> None:
    body = json.dumps(asked(customer)).replace(f'"account": {customer.account}', f'"account": {customer.account}.0')

    async with operator.gateway.session.post(
        PATH, data=body, headers={**operator.fields, "Content-Type": "application/json"}
    ) as answer:
        given = await answer.json(content_type=None)

    assert (answer.status, given.get("account")) == (200, customer.account)


@pytest.mark.parametrize("account", [17.5, "17", True, 2.0**60, 0, -1, None])
async def test_what_is_no_account_gets_no_credit(gateway: Gateway, operator: Customer, account: object) -> None:
    status, answer = await ask(operator, {"id": "a", "account": account, "amount": "1", "reason": "r"})

    assert (status, answer["code"]) == (400, "bad-parameter")


async def test_the_reference_tells_exactly_which_amounts_are_taken(
    gateway: Gateway, operator: Customer, customer: Customer
) -> None:
    async with gateway.session.get("/openapi.json") as answer:
        fields = (await answer.json())["components"]["schemas"]["TopUpRequest"]["properties"]

    texts = ["1", "-1", "0.000001", "1000000000000", "0999999999999", "0", "-0.0", "1.", ".5", "1e3", "+1", "1.0000001"]
    texts += ["1000000000001", "1000000000000.000001", "00000000000001", " 1", ""]
    taken = {}
    for number, text in enumerate(texts):
        _, told = await ask(operator, asked(customer, text, f"p{number}"))
        taken[text] = (
            told.get("code") != "bad-parameter"
        )  # what does not fit into this account is an amount all the same
    assert taken == {text: bool(re.search(fields["amount"]["pattern"], text)) for text in texts}
    assert (fields["account"]["exclusiveMinimum"], fields["account"]["maximum"]) == (0, 2**63 - 1)
