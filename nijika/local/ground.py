"""What stands under every command: the data folder, the secret that is made once, and the database."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nijika.config import Config
from nijika.errors import StartError
from nijika.local.postgres import running


def data_directory(config: Config, chosen: Path | None) -> Path:
    """The folder that holds what nijika keeps on this machine: `chosen`, or data/ beside config.toml."""
    return chosen if chosen is not None else config.directory / "data"


def with_secret(config: Config, data: Path) -> Config:
    """The configuration with a secret in any case; one that is missing is made once and kept in `data` (0600)."""
    if config.server.secrets:
        return config
    server = config.server.model_copy(update={"secrets": (_kept_secret(data),)})
    return config.model_copy(update={"server": server})


@contextmanager
def database(
    config: Config, data: Path, *, lasting: bool, progress: Callable[[str], None] = lambda _: None
) -> Iterator[str]:
    """The database's address, for as long as the block runs; starts the embedded PostgreSQL if need be.

    Main thread only. `lasting` is a gateway's way of use, others borrow. StartError as `running`.
    """
    if config.database.url != "embedded":
        yield config.database.url
        return
    with running(data, lasting=lasting, progress=progress) as url:
        yield url


def _kept_secret(data: Path) -> str:
    file = data / "secret"
    try:
        data.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return file.read_text().strip()
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text := secrets.token_urlsafe(48))
    except OSError as error:
        raise StartError(f"{file} cannot be used: {error.strerror}. Choose another folder with --data.") from None
    return text
