"""One of the processes of a gateway, as its supervisor starts it: `python -m nijika.local.process CONFIG DATA`.

The listening socket and a line to the supervisor are inherited. Their numbers, and the address of the database, come in
the environment: a command line is there for everybody to read.
"""

import asyncio
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

from nijika import logs
from nijika.config import load
from nijika.errors import ConfigError, StartError
from nijika.local.ground import with_secret
from nijika.local.serving import serve

SOCKET, LINE, DATABASE = "NIJIKA_SOCKET", "NIJIKA_LINE", "NIJIKA_DATABASE"
READY = b"ready\n"


def main() -> int:
    """Serve until SIGTERM, or the end of the supervisor; 1, with a sentence, if that cannot be."""
    file, data = map(Path, sys.argv[1:])
    sock, line = (socket.socket(fileno=int(os.environ.pop(name))) for name in (SOCKET, LINE))
    database = os.environ.pop(DATABASE)
    logs.configure()
    threading.Thread(target=_end_with, args=(line,), name="supervisor", daemon=True).start()
    try:
        config = with_secret(load(file), data)
        asyncio.run(serve(config, database, sock, announce=lambda: line.sendall(READY)))
    except (ConfigError, StartError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _end_with(line: socket.socket) -> None:
    """The supervisor says nothing: whatever comes is its end."""
    with suppress(OSError):
        line.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
