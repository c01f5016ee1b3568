"""The command line: demo, init, serve, reload, check, describe, migrate, user, key, credits, ledger, explain."""

import argparse
import io
import sys
from importlib import metadata

from nijika.commands import check, credits, demo, describe, init, key, ledger, reload, serve, user
from nijika.errors import CommandError, ConfigError, StartError

OK, FAILED, INTERRUPTED = 0, 1, 130


def main() -> int:
    """Run one command; returns its exit status: 0, 1 (it failed, and said why) or 2 (wrong usage)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character is no reason to fail
    arguments = _parser().parse_args()
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except (CommandError, ConfigError, StartError) as error:
        print(error, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter's own flush must not complain either.
        sys.stdout = None
        return OK
    except OSError as error:
        # Of files and sockets that commands know, they speak themselves; this is a full disk, most likely.
        print(f"{error.strerror or error}", file=sys.stderr)
        sys.stdout = None
        return FAILED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nijika", description="nijika turns any HTTP worker into a paid API.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for noun in (demo, init, serve, reload, check, describe, user, key, credits, ledger):
        noun.add_to(commands)
    return parser


def _version() -> str:
    try:
        return f"nijika {metadata.version('nijika')}"
    except metadata.PackageNotFoundError:
        return "nijika (not installed; run from its source)"


if __name__ == "__main__":
    sys.exit(main())
