"""What a run has shown: figures, violations, and whether it was hard enough to show anything."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nijika.credits import show
from tests.crash.checker import RULES
from tests.crash.plan import Plan
from tests.crash.records import Attempt, Charge

_EXAMPLES = 5
_NAME_WIDTH = 46


@dataclass(frozen=True)
class Report:
    """`violations` are ids by rule, `invariants` counts as `nijika ledger verify` gives them, `events` what happened
    to the processes, `failures` what they must not have done, in sentences."""

    plan: Plan
    attempts: Sequence[Attempt]
    charges: Sequence[Charge]
    events: Mapping[str, int]
    violations: Mapping[str, Sequence[str]]
    invariants: Mapping[str, int]
    failures: Sequence[str]

    @property
    def broken_rules(self) -> set[str]:
        """The names of the rules and invariants that do not hold."""
        return {name for name, found in (*self.violations.items(), *self.invariants.items()) if found}

    @property
    def is_good(self) -> bool:
        """Whether all held under a run that was hard enough."""
        return not self.broken_rules and not self.failures and not self.gaps

    @property
    def gaps(self) -> list[str]:
        """What did not happen although it should have: without it the run shows little."""
        gaps = [f"no {name}" for name in self._demanded if not self.events.get(name, 0)]
        gaps += [f"no charge was {state}" for state in ("captured", "refunded") if not self._by_state[state]]
        if "kill" in self.plan.deck and not self._free_runs:
            gaps.append("nobody got a free run under an Idempotency-Key")
        successes = sum(attempt.is_success for attempt in self.attempts)
        return gaps + ([f"only {successes} complete successes"] if successes < self.plan.answers_min else [])

    @property
    def _demanded(self) -> list[str]:
        # Nobody is there to find a single gateway silent.
        of_pause = "fenced" if self.plan.gateways > 1 else "pauses"
        names = {"kill": "kills", "crash": "PostgreSQL crashes", "pause": of_pause}
        return [names[event] for event in sorted(set(self.plan.deck))]

    @property
    def _free_runs(self) -> int:
        return sum(charge.held == 0 and charge.state == "captured" for charge in self.charges)

    @property
    def _by_state(self) -> Counter[str]:
        return Counter(charge.state for charge in self.charges)

    def __str__(self) -> str:
        """A table to read."""
        lines = [*self._answers(), *self._happenings(), *self._money(), *self._verdicts()]
        return "\n".join([*lines, *(f"FAILURE  {failure}" for failure in [*self.failures, *self.gaps])])

    def _answers(self) -> Iterator[str]:
        yield _row("requests", len(self.attempts))
        yield _row("  complete 2xx", sum(attempt.is_success for attempt in self.attempts))
        yield _row("  with an Idempotency-Key", sum(attempt.keyed for attempt in self.attempts))
        errors = Counter(
            f"  {attempt.status} {attempt.code or ''}"
            for attempt in self.attempts
            if attempt.is_error and attempt.ending == "answered"
        )
        endings = Counter(f"  {attempt.ending}" for attempt in self.attempts if attempt.ending != "answered")
        for name, count in [*sorted(errors.items()), *sorted(endings.items())]:
            yield _row(name, count)

    def _happenings(self) -> Iterator[str]:
        for name, count in sorted(self.events.items()):
            yield _row(name, count)

    def _money(self) -> Iterator[str]:
        yield _row("charges", len(self.charges))
        for state in ("captured", "refunded", "held"):
            yield _row(f"  {state}", self._by_state[state])
        yield _row("  captured as free runs", self._free_runs)
        yield _row("  credits captured", show(sum(charge.captured for charge in self.charges)))

    def _verdicts(self) -> Iterator[str]:
        for name, found in self.violations.items():
            yield _row(f"{name} {RULES[name][0]}", f"{len(found)} violations" if found else "ok")
            yield from (f"    {example}" for example in found[:_EXAMPLES])
        for name, count in self.invariants.items():
            yield _row(name, f"{count} violations" if count else "ok")


def _row(name: str, value: object) -> str:
    return f"{name:<{_NAME_WIDTH}} {value}"
