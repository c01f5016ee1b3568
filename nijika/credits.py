"""Amounts of credit: whole micro-credits (int) inside, decimal text outside, never a float."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

MICRO = 1_000_000
LARGEST = 10**12 * MICRO  # far under bigint's 9.2e18, so that sums of many accounts still fit

_DECIMAL = re.compile(r"(\d{1,13})(?:\.(\d{1,6}))?", re.ASCII)


def parse(text: str) -> int:
    """Micro-credits of a decimal such as "0.01" or "50"; exact.

    ValueError for anything else: signs, exponents, more than six decimals, more than 10^12 credits.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError('an amount is decimal text such as "0.01", with at most six decimals')
    whole, fraction = match.groups(default="")
    amount = int(whole) * MICRO + int(fraction.ljust(6, "0"))
    if amount > LARGEST:
        raise ValueError("an amount is at most 1000000000000 credits")
    return amount


def show(amount: int) -> str:
    """The shortest decimal text of an amount of micro-credits: 10_000 is "0.01"."""
    whole, fraction = divmod(abs(amount), MICRO)
    text = f"{whole}.{fraction:06d}".rstrip("0").rstrip(".")
    return f"-{text}" if amount < 0 else text


def _amount(value: Any) -> Any:
    if isinstance(value, str):
        return parse(value)
    raise ValueError('an amount is written in quotes, such as "0.01", so that it stays exact')


Amount = Annotated[int, BeforeValidator(_amount), PlainSerializer(show), Field(title='credits, such as `"0.01"`')]
"""A field of the configuration that is written as decimal text and read as micro-credits."""
