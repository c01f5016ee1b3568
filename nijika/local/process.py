"""One of the processes of a gateway, as its supervisor starts it: `python -m nijika.local.process CONFIG DATA`.

The listening socket, a line to the supervisor, and the text of the configuration are inherited: all processes go by the
text that the first ones had. Their numbers, and the address of the database, come in the environment, since a command
line is there for everybody to read.
"""

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from nijika import logs
from nijika.config import load
from nijika.errors import ConfigError, StartError
from nijika.local.ground import with_secret
from nijika.local.serving import serve

SOCKET, LINE, TEXT, DATABASE = "NIJIKA_SOCKET", "NIJIKA_LINE", "NIJIKA_TEXT", "NIJIKA_DATABASE"
READY = b"ready\n"
GRACE_SECONDS = 15.0  # beyond drain_seconds, for a process that was told to stop


def main() -> int:
    """Serve until SIGTERM, or the end of the supervisor; 1, with a sentence, if that cannot be."""
    file, data = map(Path, sys.argv[1:])
    sock, line = (socket.socket(fileno=int(os.environ.pop(name))) for name in (SOCKET, LINE))
    for inherited in (sock, line):
        inherited.set_inheritable(False)
    text, database = os.environ.pop(TEXT), os.environ.pop(DATABASE)
    logs.configure()
    try:
        config = with_secret(load(file, text=text), data)
        seconds = config.server.drain_seconds + GRACE_SECONDS
        threading.Thread(target=_end_with, args=(line, seconds), name="supervisor", daemon=True).start()
        asyncio.run(serve(config, database, sock, announce=lambda: line.sendall(READY)))
    except (ConfigError, StartError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _end_with(line: socket.socket, seconds: float) -> None:
    """The supervisor says nothing: whatever comes is its end, and nobody is there who would kill us."""
    with suppress(OSError):
        line.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(seconds)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
