"""What a provider says about the person who signs in."""

import calendar
import re
from dataclasses import dataclass
from datetime import datetime

_ADDRESS = re.compile(r"[!-?A-~]{1,64}@[!-?A-~]{1,255}", re.ASCII)


@dataclass(frozen=True)
class Identity:
    """Somebody at a provider. `issuer` and `subject` never change; `email` is one that the provider has verified.

    `created_at` (with its time zone) is None if the provider did not tell, or not in a way that can be read.
    """

    provider: str
    issuer: str
    subject: str
    login: str
    name: str
    email: str | None
    created_at: datetime | None


def month_after(moment: datetime) -> datetime:
    """One calendar month later, at the same time; the month's last day where it is too short: 31 January → 28."""
    year, month = (moment.year + 1, 1) if moment.month == 12 else (moment.year, moment.month + 1)  # noqa: PLR2004
    return moment.replace(year=year, month=month, day=min(moment.day, calendar.monthrange(year, month)[1]))


def is_old_enough(created_at: datetime | None, now: datetime) -> bool:
    """Whether an account at a provider is one calendar month old; a missing date is not, and one to come is not."""
    return created_at is not None and created_at <= now and month_after(created_at) <= now


def moment(text: object) -> datetime | None:
    """An ISO 8601 moment with its time zone; None for anything else."""
    try:
        read = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return read if read is not None and read.tzinfo is not None else None


def address(text: object) -> str | None:
    """An e-mail address as two hosts mean the same by it: visible ASCII around one @; None for anything else."""
    return text if isinstance(text, str) and _ADDRESS.fullmatch(text) else None


def plain_name(*candidates: object, characters_max: int = 100) -> str:
    """The first candidate that leaves a name on one line, without characters that cannot be seen."""
    for text in candidates:
        visible = "".join(c if c.isprintable() else " " for c in text) if isinstance(text, str) else ""
        name = " ".join(visible.split())[:characters_max]
        if name:
            return name
    return "somebody"
