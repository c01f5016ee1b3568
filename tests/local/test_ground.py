"""The secret made once: what was sealed with it opens, or the operator is told."""

from pathlib import Path

import pytest

from nijika.local.ground import with_secret
from tests.gateway import loaded

NEW = "a new secret, for the day on which others can reach it"


def test_a_secret_that_is_kept_and_not_named_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who names a new one for the network would find all keys invalid, and nobody would say why."""
    config = loaded(tmp_path, "")
    server = config.server.model_copy(update={"secrets": ()})
    (kept,) = with_secret(config.model_copy(update={"server": server}), tmp_path).server.secrets

    for secrets in ((NEW,), (NEW, kept)):
        with_secret(config.model_copy(update={"server": server.model_copy(update={"secrets": secrets})}), tmp_path)

    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith(f"{tmp_path / 'secret'} is not among server.secrets")
    assert kept not in caplog.text
