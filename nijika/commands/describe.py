"""`nijika describe`: what the tables and settings of config.toml mean."""

import argparse
import shutil
import textwrap
from collections.abc import Iterator

from nijika.commands.setting import Parsers
from nijika.errors import CommandError
from nijika.manual import Entry, Sheet, chapters
from nijika.manual.page import markdown
from nijika.toml import did_you_mean

WIDTH_MAX = 100


def add_to(parsers: Parsers) -> None:
    """The one command."""
    help = "say what a table or setting of config.toml means"  # noqa: A001
    parser = parsers.add_parser("describe", help=help, description=f"{help[:1].upper()}{help[1:]}.", allow_abbrev=False)
    example = "such as server, rate_limit or proxy.price; default: what tables there are"
    parser.add_argument("name", nargs="?", metavar="TABLE[.SETTING]", help=example)
    parser.add_argument("--markdown", action="store_true", help="print all of it as a page")
    parser.set_defaults(run=_describe)


def _describe(arguments: argparse.Namespace) -> int:
    manual = chapters()
    sheets = [sheet for chapter in manual for sheet in chapter.sheets]
    if arguments.markdown:
        print(markdown(manual), end="")
    elif arguments.name is None:
        width = max(len(sheet.heading) for sheet in sheets)
        for sheet in sheets:
            print(f"{sheet.heading:{width}}   {sheet.words.splitlines()[0]}")
    else:
        print("\n\n".join(_asked(sheets, arguments.name)))
    return 0


def _asked(sheets: list[Sheet], name: str) -> list[str]:
    table, _, setting = name.partition(".")
    found = [sheet for sheet in sheets if sheet.name == table]
    if not found:
        hint = did_you_mean(table, [sheet.name for sheet in sheets])
        raise CommandError(f'There is no table "{table}" ({hint}).')
    if not setting:
        return ["\n".join(_told(sheet)) for sheet in found]
    known = [entry for sheet in found for entry in sheet.entries]
    settings = [
        entry for entry in known if entry.path == setting or entry.path.startswith((f"{setting}.", f"{setting}["))
    ]
    if not settings:
        hint = did_you_mean(setting, [entry.path for entry in known])
        raise CommandError(f'"{table}" has no setting "{setting}" ({hint}).')
    return ["\n".join(_lines(entry)) for entry in settings]


def _told(sheet: Sheet) -> Iterator[str]:
    yield sheet.heading
    for paragraph in sheet.words.split("\n\n"):
        yield from ("", *_wrapped(paragraph))
    for entry in sheet.entries:
        yield from ("", *_lines(entry))


def _lines(entry: Entry) -> Iterator[str]:
    default = "needed" if entry.default is None else f"left out: {entry.default}" if entry.default else ""
    yield f"{entry.path}: {entry.kind.replace('`', '')}" + (f" ({default})" if default else "")
    yield from _wrapped(entry.words, "    ")


def _wrapped(text: str, indent: str = "") -> list[str]:
    width = min(shutil.get_terminal_size().columns, WIDTH_MAX)
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
