"""The SQL against a model in memory, over batches of every kind; `--operations N` for a longer run."""

import asyncio
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from nijika import request_id
from nijika.ledger.batch import apply
from nijika.ledger.grant import grant
from nijika.ledger.orders import Delivery, Hold, Order, Settlement
from nijika.ledger.verify import verify
from nijika.store import caps, keys, users
from tests.ledger.model import Account, Cap, Model

NOBODY = 10**12
NAMES = [None, None, None, "a", "b"]
ROUTES = ["/x", "/x", "/x", "/y"]

# What an order is about is drawn as numbers, which the machine reads as accounts, keys and ids that there are.
NUMBERS = st.integers(0, 1000)
ORDERS = st.lists(st.tuples(st.sampled_from("hhhhssssrud"), NUMBERS, NUMBERS, NUMBERS), min_size=10, max_size=40)


def test_the_sql_does_what_the_model_says(database: str, request: pytest.FixtureRequest) -> None:
    wanted = request.config.getoption("--operations")
    done = 0
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(database))

        class Machine(Comparison):
            pass

        Machine.runner, Machine.connection = runner, connection
        while done < wanted:
            run_state_machine_as_test(
                Machine,
                settings=settings(
                    max_examples=15,
                    stateful_step_count=20,
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
            done = Machine.operations
        violations = runner.run(verify(connection))
        runner.run(connection.close())

    assert not any(violations.values()), violations


class Comparison(RuleBasedStateMachine):
    """Does everything twice: in the database, and in the model."""

    runner: asyncio.Runner
    connection: Any
    operations = 0

    @initialize()
    def begin(self) -> None:
        self.model = Model()
        self.ids: list[tuple[int, Hold]] = []
        self.keys: list[tuple[int, int]] = []
        self.runner.run(self._begin())

    async def _begin(self) -> None:
        self.owner = request_id.make()
        await self.connection.execute(
            "INSERT INTO instances (id, host, pid, lease_seconds) VALUES ($1, 'test', 1, 3600)", self.owner
        )
        for amount in (300, 40, 0):
            async with self.connection.transaction():
                name = str(request_id.make())
                _, account = await users.add(self.connection, name=name, email=None, role="user")
                if amount:
                    await grant(self.connection, request_id.make(), account, amount, "test")
                self.model.accounts[account] = Account(amount)
                for day_max, month_max in ((None, None), (25, None), (30, 35)):
                    digest = f"{name} {day_max}".encode()
                    key = await keys.add(
                        self.connection, account=account, name="k", digest=digest, sealed=None, hint="k"
                    )
                    self.keys.append((account, key))
                    if (day_max, month_max) != (None, None):
                        await caps.put(self.connection, key, day_max=day_max, month_max=month_max)
                        self.model.caps[key] = Cap(day_max, month_max)

    @rule(drawn=ORDERS, patient=st.booleans())
    def batch(self, drawn: list[tuple[str, int, int, int]], patient: bool) -> None:
        orders: dict[tuple[type, Any], Order] = {}
        for numbers in drawn:
            order = self._order(*numbers)
            orders.setdefault((type(order), order.id), order)
        asked = list(orders.values())
        type(self).operations += len(asked)

        outcomes = self.runner.run(apply(self.connection, self.owner, asked, patient=patient))
        told = [(outcome.verdict, outcome.held) for outcome in outcomes]

        assert told == self.model.apply(asked)

    @rule()
    def a_year_passes(self) -> None:
        self.model.year += 1
        self.runner.run(
            self.connection.execute(
                """UPDATE caps SET day = day - interval '12 months', month = month - interval '12 months';
                   UPDATE charges SET opened_at = opened_at - interval '12 months';
                   UPDATE idempotency_keys SET created_at = created_at - interval '12 months'"""
            )
        )

    @rule(number=NUMBERS, amount=st.integers(1, 100))
    def credit(self, number: int, amount: int) -> None:
        account = list(self.model.accounts)[number % 3]
        self.runner.run(grant(self.connection, request_id.make(), account, amount, "test"))
        self.model.accounts[account].available += amount

    @invariant()
    def balances_agree(self) -> None:
        if not hasattr(self, "model"):
            return
        rows = self.runner.run(
            self.connection.fetch(
                "SELECT id, available, held, spent FROM accounts WHERE id = ANY($1)", list(self.model.accounts)
            )
        )
        assert {row["id"]: Account(row["available"], row["held"], row["spent"]) for row in rows} == self.model.accounts

    def _order(self, kind: str, first: int, second: int, third: int) -> Order:
        account, key = self.keys[first % len(self.keys)]
        if kind == "h" or not self.ids:
            hold = Hold(request_id.make(), account, key, ROUTES[third % 4], 1 + second % 20, 86_400, NAMES[third % 5])
            self.ids.append((account, hold))
            return hold
        account, hold = self.ids[-1 - second % min(len(self.ids), 60)]
        if kind == "r":
            return hold
        if kind == "d":
            return Delivery(hold.id, account, hold.idempotency_key or "a", third % 2 == 0)
        if kind == "u":
            strange: list[Order] = [
                Settlement(request_id.make(), account, None),
                Settlement(hold.id, NOBODY, None),
                Hold(request_id.make(), NOBODY, 1, "/x", 1, 86_400),
            ]
            return strange[third % 3]
        charge = self.model.charges.get(hold.id)
        most = charge.held if charge is not None else 0
        captured = [None, most, third % (most + 1)][third % 3]
        return Settlement(hold.id, account, captured, 200, digest=[None, b"one", b"two"][first % 3])
