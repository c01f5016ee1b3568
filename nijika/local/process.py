"""One of the processes of a gateway, as its supervisor starts it: `python -m nijika.local.process SOCKET LINE`.

Both numbers are inherited files: the listening socket, and a line to the supervisor. On that line come the orders, and
go the words on whether they can be carried out; neither a command line nor the environment is a place for them. When
the line ends, so has the supervisor.
"""

import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import uvloop

from nijika import logs
from nijika.config import Config, load
from nijika.errors import ConfigError, StartError
from nijika.local.ground import embedded_connections, with_secret
from nijika.local.serving import serve
from nijika.standing import Standing

EMBEDDED = "embedded"
GRACE_SECONDS = 15.0  # beyond drain_seconds, for a process that was told to stop

log = logging.getLogger("nijika")


@dataclass(frozen=True)
class Fixed:
    """What cannot change while the gateway runs: its sockets are bound, its PostgreSQL is started.

    `connections` is how many that takes; 0 where it is not the embedded one.
    """

    host: str
    port: int
    processes: int
    is_embedded: bool
    connections: int = 0

    @classmethod
    def of(cls, config: Config) -> Self:
        """What a configuration says of it."""
        server = config.server
        is_embedded = config.database.url == EMBEDDED
        connections = embedded_connections(config) if is_embedded else 0
        return cls(server.host, server.port, server.processes, is_embedded, connections)


@dataclass(frozen=True)
class Orders:
    """What a process is started with: the file of the configuration, the `text` that counts of it, and the data folder.

    `database_url` is where the embedded PostgreSQL is; any other stands in the configuration.
    """

    config: Path
    text: str
    data: Path
    database_url: str
    fixed: Fixed

    def write(self) -> str:
        """One line."""
        return json.dumps({**asdict(self), "config": str(self.config), "data": str(self.data)})

    @classmethod
    def read(cls, line: str) -> Self:
        """What `write` wrote."""
        told: dict[str, Any] = json.loads(line)
        return replace(cls(**told), config=Path(told["config"]), data=Path(told["data"]), fixed=Fixed(**told["fixed"]))

    def configuration(self) -> Config:
        """What the text says. ConfigError, or StartError if it asks for what only a restart can change."""
        config = with_secret(load(self.config, text=self.text), self.data)
        if Fixed.of(config) != self.fixed:
            raise StartError(
                '[server] host, port and processes, whether [database] url is "embedded", and a connections_max for '
                "which that one was not started, change with a restart, not with a reload."
            )
        return config


def main() -> int:
    """Serve until SIGTERM, or the end of the supervisor; 1, with a sentence to the supervisor, if that cannot be."""
    sock, line = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    for inherited in (sock, line):
        inherited.set_inheritable(False)
    said = line.makefile("r", encoding="utf-8")
    if not (told := said.readline()):
        return 1
    try:
        orders = Orders.read(told)
        config = orders.configuration()
        logs.configure(config.server.log)
        seconds, standing = config.server.drain_seconds, Standing()
        hear = threading.Thread(target=_hear, args=(said, standing, seconds), name="supervisor", daemon=True)
        hear.start()
        database_url = orders.database_url if orders.fixed.is_embedded else config.database.url
        uvloop.run(serve(config, database_url, sock, lambda: _say(line, ready=seconds), standing=standing))
    except (ConfigError, StartError) as error:
        _say(line, failed=str(error))
        return 1
    except Exception as error:  # a plugin may raise anything when it is opened
        log.exception("a process cannot serve")
        words = f"{type(error).__name__}: {error}".rstrip(": ")
        _say(line, failed=f"A process cannot serve: {words}. Its log tells where.")
        return 1
    return 0


def _say(line: socket.socket, **words: object) -> None:
    with suppress(OSError):  # nobody hears it any more
        line.sendall(json.dumps(words).encode() + b"\n")


def _hear(said: Any, standing: Standing, drain_seconds: float) -> None:
    """What the supervisor says while we serve: whether a newer configuration was refused. Its end is ours, too."""
    with suppress(OSError):
        for line in said:
            standing.refused = json.loads(line)["refused"]
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(drain_seconds + GRACE_SECONDS)  # nobody is there who would kill us
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
