"""When a message that did not arrive is sent again (Standard Webhooks, "Deliverability and reliability")."""

DELAYS = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds after each attempt but the last."""

ATTEMPTS_MAX = len(DELAYS) + 1
JITTER = 0.1
RETRY_AFTER_SECONDS_MAX = 86_400


def delay(attempts: int, chance: float, retry_after: float | None = None) -> float | None:
    """Seconds from the failure of the `attempts`th attempt to the next one; None if that was the last.

    `chance`, from 0 to 1, adds up to a tenth, so that messages which failed together do not come back together. A
    receiver that named its own time (`retry_after`, in seconds) is not asked before it, within a day.
    """
    if attempts >= ATTEMPTS_MAX:
        return None
    asked_for = min(max(retry_after or 0, 0), RETRY_AFTER_SECONDS_MAX)
    return max(DELAYS[max(attempts, 1) - 1], asked_for) * (1 + JITTER * chance)
