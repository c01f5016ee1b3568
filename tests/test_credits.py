"""Amounts are exact from text to text, and nothing but decimal text is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from nijika.credits import LARGEST, MICRO, Amount, parse, show

EXACT = [
    ("0", 0),
    ("0.000001", 1),
    ("0.01", 10_000),
    ("0.1", 100_000),
    ("0.3", 300_000),
    ("1", 1_000_000),
    ("50", 50_000_000),
    ("12.345678", 12_345_678),
    ("999999.999999", 999_999_999_999),
    ("1000000000000", LARGEST),
]
OTHER_SPELLINGS = [
    ("1.0", 1_000_000),
    ("0.10", 100_000),
    ("00.5", 500_000),
    ("007", 7_000_000),
    ("2.500000", 2_500_000),
]
REFUSED = {
    "nothing": "",
    "a sign": "+1",
    "a minus": "-1",
    "a minus before zero": "-0",
    "an exponent": "1e3",
    "a capital exponent": "1E-2",
    "seven decimals": "0.0000001",
    "seven decimals of zeros": "1.0000000",
    "no whole part": ".5",
    "no fraction": "5.",
    "two points": "1.2.3",
    "a comma": "1,5",
    "an underscore": "1_000",
    "a space before": " 1",
    "a space behind": "1 ",
    "a newline behind": "1\n",
    "a space within": "1 000",
    "arabic digits": "١٢",
    "full-width digits": "１２",  # noqa: RUF001 (that is the point)
    "a superscript": "²",
    "hexadecimal": "0x10",
    "a word": "free",
    "not a number": "NaN",
    "infinity": "Infinity",
    "a NUL": "1\0",
    "a little too much": "1000000000000.000001",
    "one credit too much": "1000000000001",
    "fourteen digits": "10000000000000",
    "a number without end": "9" * 5000,
}


class Table(BaseModel):
    amount: Amount


@pytest.mark.parametrize(("text", "amount"), EXACT)
def test_an_amount_is_read_and_shown_exactly(text: str, amount: int) -> None:
    assert parse(text) == amount
    assert show(amount) == text


@pytest.mark.parametrize(("text", "amount"), OTHER_SPELLINGS)
def test_zeros_that_change_nothing_are_read_and_not_shown(text: str, amount: int) -> None:
    assert parse(text) == amount
    assert len(show(amount)) < len(text)


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_plain_decimal_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"^an amount is "):
        parse(text)


def test_a_debt_is_shown_with_its_sign() -> None:
    assert show(-1) == "-0.000001"
    assert show(-2_500_000) == "-2.5"


@given(st.integers(0, LARGEST))
def test_what_is_shown_is_read_as_the_same_amount(amount: int) -> None:
    assert parse(show(amount)) == amount


@given(st.lists(st.integers(0, LARGEST // 100), max_size=20))
def test_sums_of_amounts_are_exact(amounts: list[int]) -> None:
    total = sum(parse(show(amount)) for amount in amounts)

    assert show(total) == show(sum(amounts))


@given(st.text(max_size=20))
def test_any_text_is_an_amount_or_a_value_error(text: str) -> None:
    try:
        amount = parse(text)
    except ValueError:
        return
    assert text.isascii()
    assert 0 <= amount <= LARGEST


def test_a_table_takes_decimal_text() -> None:
    assert Table.model_validate({"amount": "0.01"}).amount == MICRO // 100


@pytest.mark.parametrize("value", [1, 0, -1, 0.1, 50.0, float("nan"), True, None, ["1"], {"amount": "1"}, b"1"])
def test_a_table_takes_nothing_else(value: object) -> None:
    with pytest.raises(ValidationError, match="written in quotes"):
        Table.model_validate({"amount": value})
