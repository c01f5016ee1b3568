"""`nijika init`: what `nijika serve` needs, in an empty folder."""

import argparse
from pathlib import Path

from nijika.commands.setting import Parsers
from nijika.config import load
from nijika.errors import CommandError
from nijika.local import ground


def add_to(parsers: Parsers) -> None:
    """The one command."""
    help = "write a commented config.toml and make a secret"  # noqa: A001
    parser = parsers.add_parser("init", help=help, description=f"{help[:1].upper()}{help[1:]}.", allow_abbrev=False)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="where to; default: here")
    parser.set_defaults(run=_init)


def _init(arguments: argparse.Namespace) -> int:
    file: Path = arguments.folder / "config.toml"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        made = file.open("x", encoding="utf-8")
    except OSError as error:
        if file.exists():
            raise CommandError(f"{file} is there already, and nothing was changed. Name another folder.") from None
        raise CommandError(f"{file} cannot be written: {error.strerror}.") from None
    try:
        with made:
            made.write(ground.packaged("config.toml").read_text(encoding="utf-8"))
        config = load(file)
        data = ground.data_directory(config, None)
        ground.with_secret(config, data)
    except BaseException:
        file.unlink()  # or the next try would find it there
        raise
    print(_told(file, data / "secret", config.server.public_url))
    return 0


def _told(file: Path, secret: Path, url: str) -> str:
    kept = f"\n{secret}   what keys and sessions are sealed with: keep it"
    place = "" if file.parent == Path() else f" --config {file}"
    width = max(len("nijika user --help"), len(f"nijika check{place}")) + 3
    return f"""{file}   every setting, with its words{kept if secret.exists() else ""}

Name your worker under [upstreams.removebg] and its price under [[routes]], then:

  {f"nijika check{place}":{width}}what is wrong with the file, if anything
  {f"nijika serve{place}":{width}}PostgreSQL and the gateway, on {url}
  {"nijika user --help":{width}}accounts; keys and credits likewise
"""
