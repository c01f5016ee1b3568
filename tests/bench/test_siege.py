"""The sieges, run for a moment: that they look at what they say they look at, never how fast anything is."""

import pytest

from bench.siege import revocations


async def test_a_key_that_is_revoked_in_one_process_is_refused_by_that_one_and_the_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    await revocations.main(3, 2)

    said = capsys.readouterr().out
    assert said.startswith("3 revocations, 2 processes")
    assert "in the others: p50 " in said
