"""The ledger as one would write it without a database: what apply_batch must do, said a second time and plainly."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from nijika.ledger.orders import Delivery, Hold, Order, Settlement


@dataclass
class Account:
    available: int
    held: int = 0
    spent: int = 0


@dataclass
class Charge:
    hold: Hold
    held: int
    year: int
    state: str = "held"
    captured: int = 0


@dataclass
class Claim:
    """An idempotency key: the latest attempt, and the paid charge which that repeats."""

    route: str
    charge: UUID
    year: int
    paid: UUID | None = None
    digest: bytes | None = None
    is_delivered: bool | None = None


@dataclass
class Cap:
    day_max: int | None
    month_max: int | None
    day_used: int = 0
    month_used: int = 0
    year: int = 0


@dataclass
class Model:
    """`year` is the time; a year is far beyond every memory of the ledger, of keys and of caps."""

    accounts: dict[int, Account] = field(default_factory=dict)
    caps: dict[int, Cap] = field(default_factory=dict)
    charges: dict[UUID, Charge] = field(default_factory=dict)
    claims: dict[tuple[int, str], Claim] = field(default_factory=dict)
    year: int = 0

    def apply(self, orders: Sequence[Order]) -> list[tuple[str, int]]:
        """The verdict of each order, and what a hold took."""
        verdicts: dict[int, tuple[str, int]] = {}
        settlements = [(index, order) for index, order in enumerate(orders) if isinstance(order, Settlement)]
        holds = [(index, order) for index, order in enumerate(orders) if isinstance(order, Hold)]
        for index, settlement in settlements:
            verdicts[index] = self._settle(settlement), 0
        for index, order in enumerate(orders):
            if isinstance(order, Delivery):
                self._deliver(order)
                verdicts[index] = "delivered", 0
        for index, hold in sorted(holds, key=lambda pair: pair[1].account):
            verdicts[index] = self._hold(hold)
        return [verdicts[index] for index in range(len(orders))]

    def _settle(self, order: Settlement) -> str:
        charge = self.charges.get(order.id)
        if charge is None or charge.hold.account != order.account:
            return "unknown"
        state = "refunded" if order.captured is None else "captured"
        captured = order.captured or 0
        if charge.state != "held":
            return "settled" if (charge.state, charge.captured) == (state, captured) else "lost"
        charge.state, charge.captured = state, captured
        account = self.accounts[order.account]
        account.held -= charge.held
        account.available += charge.held - captured
        account.spent += captured
        cap = self.caps.get(charge.hold.key)
        if cap is not None and cap.year == charge.year:
            cap.day_used -= charge.held - captured
            cap.month_used -= charge.held - captured
        claim = self.claims.get((order.account, charge.hold.idempotency_key or ""))
        if claim is not None and claim.charge == order.id and order.digest is not None:
            claim.digest = order.digest
        return "settled"

    def _hold(self, hold: Hold) -> tuple[str, int]:
        account = self.accounts.get(hold.account)
        if account is None:
            return "unknown", hold.amount
        former = self.charges.get(hold.id)
        if former is not None:
            return ("held" if former.state == "held" else "settled"), former.held
        name = (hold.account, hold.idempotency_key or "")
        claim = self._living_claim(name)
        amount = hold.amount
        if claim is not None:
            verdict = self._verdict_on(claim, hold)
            if verdict != "held":
                return verdict, amount
            amount = 0
        if amount > account.available:
            return "short", amount
        cap = self.caps.get(hold.key)
        if cap is not None and amount > 0 and not self._fits(cap, amount):
            return "capped", amount
        account.available -= amount
        account.held += amount
        self.charges[hold.id] = Charge(hold, amount, self.year)
        if hold.idempotency_key is not None:
            self._claim(name, hold, claim)
        return "held", amount

    def _living_claim(self, name: tuple[int, str]) -> Claim | None:
        claim = self.claims.get(name)
        if claim is None:
            return None
        state = self.charges[claim.charge].state
        if state == "refunded" and claim.paid is None:
            return None
        return claim if state == "held" or claim.year == self.year else None

    def _verdict_on(self, claim: Claim, hold: Hold) -> str:
        state = self.charges[claim.charge].state
        if claim.route != hold.route:
            return "other-route"
        if state == "held":
            return "in-flight"
        if state == "refunded":
            return "held"
        if claim.paid is not None or claim.is_delivered:
            return "done"
        return "in-flight" if claim.is_delivered is None else "held"

    def _claim(self, name: tuple[int, str], hold: Hold, former: Claim | None) -> None:
        if former is None:
            self.claims[name] = Claim(hold.route, hold.id, self.year)
        else:
            paid = former.paid or former.charge
            self.claims[name] = Claim(hold.route, hold.id, former.year, paid=paid, digest=former.digest)

    def _fits(self, cap: Cap, amount: int) -> bool:
        if cap.year != self.year:
            day_used = month_used = 0
        else:
            day_used, month_used = cap.day_used, cap.month_used
        if cap.day_max is not None and day_used + amount > cap.day_max:
            return False
        if cap.month_max is not None and month_used + amount > cap.month_max:
            return False
        cap.year, cap.day_used, cap.month_used = self.year, day_used + amount, month_used + amount
        return True

    def _deliver(self, order: Delivery) -> None:
        claim = self.claims.get((order.account, order.idempotency_key))
        if claim is not None and claim.charge == order.id:
            claim.is_delivered = order.arrived
