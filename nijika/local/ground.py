"""What stands under every command: files of the package, the data folder, the secret made once, the database."""

import logging
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nijika.config import Config
from nijika.errors import StartError
from nijika.local.postgres import running
from nijika.rules import SECRET_CHARACTERS_MIN

COMMANDS_CONNECTIONS = 20

_LEFT_OUT = (
    "%s is not among server.secrets: what was made with it (keys, sessions) is refused. Name it, behind the new one."
)

log = logging.getLogger("nijika")


def packaged(name: str) -> Path:
    """A file that comes with nijika: from the wheel, or from its source."""
    inside = Path(__file__).parent / name
    return inside if inside.exists() else Path(__file__).parents[2] / name


def data_directory(config: Config, chosen: Path | None) -> Path:
    """The folder that holds what nijika keeps on this machine: `chosen`, or data/ beside config.toml."""
    return chosen if chosen is not None else config.directory / "data"


def with_secret(config: Config, data: Path) -> Config:
    """The configuration with a secret in any case; one that is missing is made once and kept in `data` (0600).

    Where others are named while one is kept here, the log says so: what was sealed with it opens no more.
    """
    if config.server.secrets:
        if (data / "secret").exists() and _kept_secret(data) not in config.server.secrets:
            log.warning(_LEFT_OUT, data / "secret")
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
    settings = {"max_connections": str(embedded_connections(config))}
    with running(data, lasting=lasting, settings=settings, progress=progress) as url:
        yield url


def embedded_connections(config: Config) -> int:
    """How many connections the embedded PostgreSQL is started for.

    Each process has a pool, the ledger's own connection and the listener's; a reload has two of each. The rest is for
    commands.
    """
    wanted = 2 * config.server.processes * (config.database.connections_max + 3) + COMMANDS_CONNECTIONS
    return max(100, wanted)


def _kept_secret(data: Path) -> str:
    file = data / "secret"
    try:
        data.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            _make_secret(file)
        text = file.read_text(encoding="ascii").strip()
        mode = file.stat().st_mode
    except FileExistsError:
        raise StartError(f"{data} is no folder. Choose another one with --data.") from None
    except OSError as error:
        raise StartError(f"{file} cannot be used: {error.strerror}. Choose another folder with --data.") from None
    except UnicodeDecodeError:
        text = ""
    if len(text) < SECRET_CHARACTERS_MIN:
        raise StartError(
            f"{file} holds no secret. Bring back the one that was there, or remove the file: a new one is made."
        )
    if mode & 0o077:
        raise StartError(f"{file} can be read by others than its owner. Take that away: chmod 600 {file}")
    return text


def _make_secret(file: Path) -> None:
    """All of it or nothing, and the first of two processes wins: a half-written secret would be one for ever."""
    draft = file.with_name(f"secret.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            stream.write(secrets.token_urlsafe(48))
            stream.flush()
            os.fsync(stream.fileno())
        with suppress(FileExistsError):
            os.link(draft, file)
    finally:
        draft.unlink(missing_ok=True)
