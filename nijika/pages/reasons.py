"""Why a call was refunded, in a sentence for the person who made it."""

import re

from nijika.errors import Problem

_OWN = {
    "caller-gone": "The caller hung up before the work was done.",
    "gateway-stopped": "The gateway was stopped meanwhile.",
    "gateway-failed": "The gateway met an error of its own.",
    "owner-lost": "The gateway that worked on it went away.",
    "deadline-passed": "It took longer than any call may.",
    "settlement-unknown": "Accounts were out of reach when the work was done.",
    "unanswered": "The caller left before the work began.",
}
_STATUS = re.compile(r"status-([0-9]{3})", re.ASCII)


def sentence(reason: str | None) -> str:
    """The sentence for a reason as the ledger writes it; one that it does not know is shown as it is."""
    if not reason:
        return ""
    status = _STATUS.fullmatch(reason)
    if status is not None:
        return f"The worker did not accept it (status {status[1]})."
    return _OWN.get(reason) or _problems().get(reason) or reason


def _problems(kind: type[Problem] = Problem) -> dict[str, str]:
    """The titles of all problems by their codes."""
    titles = {kind.code: f"{kind.title}."}
    for more in kind.__subclasses__():
        titles |= _problems(more)
    return titles
