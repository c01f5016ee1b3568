"""`nijika serve` and `nijika migrate`."""

import argparse
import asyncio
import sys

from nijika import logs
from nijika.commands.setting import Parsers, configured, parser, working
from nijika.local import ground
from nijika.local.serving import address, serve
from nijika.server import bind


def add_to(parsers: Parsers) -> None:
    """The two commands."""
    parser(parsers, "serve", "bring the database up to date and serve", _serve)
    parser(parsers, "migrate", "bring the database up to date", _migrate)


def _serve(arguments: argparse.Namespace) -> int:
    config, data = configured(arguments)
    logs.configure()
    with (
        bind(config.server.host, config.server.port) as sock,
        ground.database(config, data, lasting=True, progress=_tell) as url,
    ):
        asyncio.run(serve(config, url, sock, announce=lambda: print(f"listening on {address(sock)}", flush=True)))
    return 0


def _migrate(arguments: argparse.Namespace) -> int:
    working(arguments, lambda _: asyncio.sleep(0))  # every command begins with the migrations
    print("The database is up to date.")
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
