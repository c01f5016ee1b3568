"""`nijika reload`."""

import argparse
import sys

from nijika.commands.setting import Parsers, parser
from nijika.local import control


def add_to(parsers: Parsers) -> None:
    """The command."""
    parser(parsers, "reload", "let the running gateway go by the file as it is now", _reload)


def _reload(arguments: argparse.Namespace) -> int:
    """Whatever is wrong is found by the gateway, which has the variables that count."""
    failed = control.ask(arguments.data or arguments.config.parent / "data")
    if failed:
        print(f"{failed}\nThe gateway goes on as before.", file=sys.stderr)
        return 1
    print("The gateway goes by the new configuration.")
    return 0
