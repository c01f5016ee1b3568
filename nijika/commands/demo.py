"""`nijika demo`: everything at once on this machine, until Ctrl-C."""

import argparse
import logging
from pathlib import Path

from nijika import logs
from nijika.commands.setting import Parsers
from nijika.config import load
from nijika.local import demo, worker
from nijika.local.ground import data_directory, with_secret

PORT_MAX = 65_535


def add_to(parsers: Parsers) -> None:
    """The one command."""
    help = "run PostgreSQL, the worker and the gateway here, with a demo account, until Ctrl-C"  # noqa: A001
    parser = parsers.add_parser("demo", help=help, description=f"{help[:1].upper()}{help[1:]}.", allow_abbrev=False)
    parser.add_argument("--port", type=_port, metavar="N", help="default: [server] port")
    parser.add_argument("--data", type=Path, metavar="DIR", help="where it keeps its data; default: data/ beside F")
    parser.add_argument("--config", type=Path, metavar="F", help="default: config.toml here, or the one of the package")
    engine = "what finds the foreground; birefnet needs torch and weights (docs/models.md); default: classic"
    parser.add_argument("--engine", choices=worker.ENGINES, default="classic", help=engine)
    parser.add_argument("--weights", metavar="W", help="of birefnet: a name such as general, a folder, or a file")
    parser.set_defaults(run=_demo)


def _demo(arguments: argparse.Namespace) -> int:
    config = load(arguments.config or demo.configuration_file())
    logs.configure(config.server.log)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)  # the screen belongs to the curl line
    if arguments.config is None:
        config = config.model_copy(update={"directory": Path()})
    data = data_directory(config, arguments.data)
    kind = worker.Kind(arguments.engine, arguments.weights)
    demo.run(with_secret(config, data), data, port=arguments.port, kind=kind)
    return 0


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:6]) <= PORT_MAX):
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to {PORT_MAX}")
    return int(text)
