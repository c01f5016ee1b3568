"""The PostgreSQL of a run: `python -m tests.crash.postgres DIRECTORY PORT FSYNC` serves until its input ends.

However often the server is ended by others, it is started again at once on the same data and the same port.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

from nijika.errors import StartError
from nijika.local.postgres import running
from tests.crash.plan import LOOPBACK


def main() -> None:
    """Serve until standard input ends."""
    directory, port, fsync = sys.argv[1:]
    settings = {"listen_addresses": LOOPBACK, "port": port, "fsync": fsync}
    while True:
        # That is how a server which was ended makes itself heard.
        with suppress(StartError), running(Path(directory), lasting=True, settings=settings):
            os.read(sys.stdin.fileno(), 1)
            return


if __name__ == "__main__":
    main()
