"""`nijika serve` and `nijika migrate`."""

import argparse
import asyncio
import signal
import sys
from functools import partial

from nijika import logs
from nijika.commands.setting import Parsers, configured, parser, working
from nijika.local import ground
from nijika.local.process import Fixed, Orders
from nijika.local.serving import address
from nijika.local.supervisor import supervise
from nijika.server import shared


def add_to(parsers: Parsers) -> None:
    """The two commands."""
    parser(parsers, "serve", "bring the database up to date and serve", _serve)
    parser(parsers, "migrate", "bring the database up to date", _migrate)


def _serve(arguments: argparse.Namespace) -> int:
    # Until the supervisor hears it: who asks for a reload this early gets one when all serve, and ends nothing.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    config, data = configured(arguments)
    file = arguments.config.absolute()
    text = file.read_text(encoding="utf-8")  # all processes are to go by the same
    logs.configure(config.server.log)
    server = config.server
    with (
        shared(server.host, server.port, server.processes) as sockets,
        ground.database(config, data, lasting=True, progress=_tell) as url,
    ):
        announce = partial(print, f"listening on {address(sockets[0])}", flush=True)
        orders = Orders(file, text, data.absolute(), url, Fixed.of(config))
        asyncio.run(supervise(orders, sockets, announce))
    return 0


def _migrate(arguments: argparse.Namespace) -> int:
    working(arguments, lambda _: asyncio.sleep(0))  # every command begins with the migrations
    print("The database is up to date.")
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
