"""A missing tool skips a test on a person's machine only."""

from collections.abc import Callable

import pytest

from tests import pgbouncer, redis
from tests.providers import lacking


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
@pytest.mark.parametrize(
    ("find", "sentence"),
    [
        (lacking.chromium, "no Chromium here; on Debian: apt-get install chromium"),
        (redis.program, "no redis-server here; on Debian: apt-get install redis-server"),
        (pgbouncer.program, "no pgbouncer here; on Debian: apt-get install pgbouncer"),
    ],
)
def test_a_missing_program_skips_and_with_ci_set_fails(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException], find: Callable[[], str], sentence: str
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CI", ci)

    with pytest.raises(outcome, match=sentence):
        find()
