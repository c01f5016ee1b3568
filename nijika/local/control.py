"""A socket in the data folder, on which `nijika reload` asks the gateway that runs there."""

import asyncio
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from nijika.errors import CommandError

NAME = "control.sock"
ANSWER_SECONDS = 300.0

log = logging.getLogger("nijika")


@asynccontextmanager
async def answering(data: Path, reload: Callable[[], Awaitable[str]]) -> AsyncIterator[None]:
    """Call `reload` for whoever asks there during the block, and tell what it says.

    Where there can be no such socket the gateway runs without it, and says so; SIGHUP does the same.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            if await reader.readline():
                writer.write(json.dumps({"failed": await reload()}).encode() + b"\n")
                await writer.drain()
        writer.close()

    try:
        sock = _bound(data)
    except OSError as error:
        log.warning("`nijika reload` does not work for this gateway, SIGHUP does: %s", error.strerror or error)
        yield
        return
    server = await asyncio.start_unix_server(answer, sock=sock)
    try:
        yield
    finally:
        (data / NAME).unlink(missing_ok=True)
        server.close()


def ask(data: Path) -> str:
    """Have the gateway of a data folder reload: "", or why it goes on as before. CommandError if there is none."""
    with socket.socket(socket.AF_UNIX) as sock, _short(data) as folder:
        sock.settimeout(ANSWER_SECONDS)
        try:
            sock.connect(f"{folder}/{NAME}")
            sock.sendall(b"reload\n")
            line = sock.makefile("r", encoding="utf-8").readline()
        except PermissionError:
            raise CommandError(
                f"The gateway of {data} belongs to somebody else: ask as its user, or as root."
            ) from None
        except TimeoutError:
            raise CommandError(f"The gateway does not answer within {ANSWER_SECONDS:g} s; see its log.") from None
        except (BrokenPipeError, ConnectionResetError):
            line = ""
        except OSError:
            raise CommandError(
                f"No gateway runs in {data}. Start it with `nijika serve`, or name its folder with --data."
            ) from None
    if not line:
        raise CommandError(f"The gateway of {data} ended before it had reloaded; see its log.")
    failed: str = json.loads(line)["failed"]
    return failed


def _bound(data: Path) -> socket.socket:
    """For the owner alone. OSError if another gateway answers there, or the folder takes none."""
    data.mkdir(parents=True, exist_ok=True)
    with _short(data) as folder:
        place = Path(folder, NAME)
        if _is_answered(place):
            raise OSError(f"another gateway answers in {data}")
        place.unlink(missing_ok=True)  # left by one that was killed
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.bind(str(place))
            place.chmod(0o600)  # before it listens, so that nobody was let in
        except OSError:
            sock.close()
            raise
    return sock


def _is_answered(place: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as other:
        return other.connect_ex(str(place)) == 0


@contextmanager
def _short(data: Path) -> Iterator[str]:
    """A name of the folder that fits an address, of which only some hundred bytes count."""
    proc = Path("/proc/self/fd")
    try:
        number = os.open(data, os.O_RDONLY | os.O_DIRECTORY) if proc.is_dir() else None
    except OSError:
        number = None
    try:
        yield str(data) if number is None else f"{proc}/{number}"
    finally:
        if number is not None:
            os.close(number)
