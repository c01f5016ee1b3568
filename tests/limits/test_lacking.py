"""Without a Redis its tests are skipped on a person's machine only."""

import pytest

from tests import redis


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_a_missing_redis_skips_and_with_ci_set_fails(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CI", ci)

    with pytest.raises(outcome, match="no redis-server here; on Debian: apt-get install redis-server"):
        redis.program()
