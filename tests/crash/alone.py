"""`python -m tests.crash.alone --config F --data DIR`: one process of a gateway, without a supervisor beside it.

It is to be killed, stopped and started again by the run alone.
"""

import argparse
import asyncio
import sys
from functools import partial
from pathlib import Path

from nijika import logs
from nijika.config import load
from nijika.errors import StartError
from nijika.local.ground import with_secret
from nijika.local.serving import address, serve
from nijika.server import bind


def main() -> int:
    """Serve until SIGTERM; 1, with a sentence, if that cannot be."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    config = with_secret(load(arguments.config), arguments.data)
    logs.configure()
    try:
        with bind(config.server.host, config.server.port) as sock:
            announce = partial(print, f"listening on {address(sock)}", flush=True)
            asyncio.run(serve(config, config.database.url, sock, announce))
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
